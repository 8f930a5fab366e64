package dev.torpor.operator.event;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.EventBuilder;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.charset.StandardCharsets;
import java.time.InstantSource;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes Events about our objects. The name of an Event is made from the object's UID, the reason and the message, so
 * a repeat raises the count of the one before, across restarts too. Events are news, not state: one that cannot be
 * written is logged and forgotten.
 */
public final class EventRecorder {
    private static final Logger LOG = LoggerFactory.getLogger(EventRecorder.class);
    /** The API server cuts at 1024 bytes. */
    private static final int MESSAGE_CHARACTERS_MAX = 1000;

    private final KubernetesClient client;
    private final InstantSource clock;

    public EventRecorder(KubernetesClient client, InstantSource clock) {
        this.client = client;
        this.clock = clock;
    }

    /** Writes a notice about an object. */
    public void record(HasMetadata about, Notice notice) {
        String namespace = about.getMetadata().getNamespace();
        String name = nameOf(about, notice);
        try {
            Event before =
                    client.v1().events().inNamespace(namespace).withName(name).get();
            if (before == null) {
                client.v1().events().resource(first(about, notice, name)).create();
            } else {
                client.v1()
                        .events()
                        .resource(new EventBuilder(before)
                                .withCount(Objects.requireNonNullElse(before.getCount(), 1) + 1)
                                .withLastTimestamp(now())
                                .build())
                        .update();
            }
        } catch (KubernetesClientException e) {
            warn(about, notice, e);
        }
    }

    /** Writes a notice about an object, unless it was written before. */
    public void recordOnce(HasMetadata about, Notice notice) {
        String name = nameOf(about, notice);
        try {
            if (client.v1()
                            .events()
                            .inNamespace(about.getMetadata().getNamespace())
                            .withName(name)
                            .get()
                    == null) {
                client.v1().events().resource(first(about, notice, name)).create();
            }
        } catch (KubernetesClientException e) {
            warn(about, notice, e);
        }
    }

    private static void warn(HasMetadata about, Notice notice, KubernetesClientException e) {
        LOG.warn(
                "Event {} of {} {}/{} was not written: {}",
                notice.reason(),
                about.getKind(),
                about.getMetadata().getNamespace(),
                about.getMetadata().getName(),
                e.getMessage());
    }

    private Event first(HasMetadata about, Notice notice, String name) {
        String now = now();
        return new EventBuilder()
                .withNewMetadata()
                .withNamespace(about.getMetadata().getNamespace())
                .withName(name)
                .endMetadata()
                .withNewInvolvedObject()
                .withApiVersion(about.getApiVersion())
                .withKind(about.getKind())
                .withNamespace(about.getMetadata().getNamespace())
                .withName(about.getMetadata().getName())
                .withUid(about.getMetadata().getUid())
                .endInvolvedObject()
                .withType(notice.reason().type().name())
                .withReason(notice.reason().name())
                .withMessage(cut(notice.message()))
                .withFirstTimestamp(now)
                .withLastTimestamp(now)
                .withCount(1)
                .withNewSource()
                .withComponent(Torpor.OPERATOR_MANAGER)
                .endSource()
                .withReportingComponent(Torpor.OPERATOR_MANAGER)
                .build();
    }

    private String now() {
        return clock.instant().truncatedTo(ChronoUnit.SECONDS).toString();
    }

    private static String cut(String message) {
        return message.length() <= MESSAGE_CHARACTERS_MAX ? message : message.substring(0, MESSAGE_CHARACTERS_MAX);
    }

    private static String nameOf(HasMetadata about, Notice notice) {
        CRC32C crc = new CRC32C();
        crc.update((about.getMetadata().getUid() + '\n' + notice.reason() + '\n' + notice.message())
                .getBytes(StandardCharsets.UTF_8));
        return "%s.%08x".formatted(about.getMetadata().getName(), crc.getValue());
    }
}
