package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.webhook.Webhook;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfiguration;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The webhook's certificate on a real API server, which refuses to call a server that it does not trust. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class WebhookCertificateIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final String SECRET = "torpor-webhook-certs";

    @Test
    void replicaIsReadyOnceTheBundlesHoldItsIssuerAndRepairsThem(
            ControlPlane cluster, @TestNamespace String namespace) {
        String system = cluster.createNamespace("hook-system");
        try (Webhook webhook = WebhookUnderTest.start(cluster, system, InstantSource.system())) {
            await().atMost(TIMEOUT).untilAsserted(() -> assertThat(webhook.notReadyReason())
                    .contains("a webhook configuration named torpor is missing: install the chart's"));
            assertThat(webhook.certificateExpiry()).hasValueSatisfying(expiry -> assertThat(expiry)
                    .isAfter(Instant.now().plus(Duration.ofDays(364))));
            try (var configuration = WebhookUnderTest.configure(cluster, webhook.port(), webhook.port(), namespace)) {
                WebhookUnderTest.awaitReady(webhook);
                configuration.awaitInForce(namespace);
                String bundle = bundle(configuration.mutating());

                cluster.client()
                        .resources(MutatingWebhookConfiguration.class)
                        .withName("torpor")
                        .edit(found -> new MutatingWebhookConfigurationBuilder(found)
                                .editFirstWebhook()
                                .editClientConfig()
                                .withCaBundle(null)
                                .endClientConfig()
                                .endWebhook()
                                .build());

                await().atMost(TIMEOUT).untilAsserted(() -> assertThat(bundle(configuration.mutating()))
                        .isEqualTo(bundle));
                WebhookUnderTest.awaitReady(webhook);
                configuration.awaitInForce(namespace);
            }
        }
    }

    /** One replica changes pods, the other judges them, so each pod needs both. */
    @Test
    void exchangeFailsNoPod(ControlPlane cluster, @TestNamespace String namespace) throws Exception {
        String system = cluster.createNamespace("hook-system");
        AtomicReference<Duration> ahead = new AtomicReference<>(Duration.ZERO);
        InstantSource clock = () -> Instant.now().plus(ahead.get());
        try (Webhook one = WebhookUnderTest.start(cluster, system, clock);
                Webhook two = WebhookUnderTest.start(cluster, system, clock);
                var configuration = WebhookUnderTest.configure(cluster, one.port(), two.port(), namespace)) {
            WebhookUnderTest.awaitReady(one);
            WebhookUnderTest.awaitReady(two);
            configuration.awaitInForce(namespace);
            List<X509Certificate> before = authorities(configuration);
            assertThat(before).hasSize(1);
            handshake(one.port(), before);
            handshake(two.port(), before);

            AtomicInteger created = new AtomicInteger();
            AtomicBoolean enough = new AtomicBoolean();
            CompletableFuture<Void> load = CompletableFuture.runAsync(() -> {
                while (!enough.get()) {
                    create(cluster, namespace, WebhookUnderTest.vmPod("vm-" + created.get()));
                    created.incrementAndGet();
                }
            });
            annotate(cluster, system, "torpor.dev/rotate=now");
            await("both are trusted")
                    .atMost(TIMEOUT)
                    .until(() -> authorities(configuration).size() == 2);
            int whenPublished = created.get();
            ahead.set(Duration.ofSeconds(16));
            annotate(cluster, system, "look=1");
            await("the next certificate is served").atMost(TIMEOUT).until(() -> {
                List<X509Certificate> all = authorities(configuration);
                return serves(one.port(), all, before) && serves(two.port(), all, before);
            });
            int whenServed = created.get();
            await("pods while both are trusted").atMost(TIMEOUT).until(() -> created.get() > whenServed + 5);
            ahead.set(Duration.ofMinutes(16));
            annotate(cluster, system, "look=2");
            await("the previous one is trusted no more")
                    .atMost(TIMEOUT)
                    .until(() -> authorities(configuration).size() == 1);
            int whenTrimmed = created.get();
            await("pods with the new one alone").atMost(TIMEOUT).until(() -> created.get() > whenTrimmed + 5);
            enough.set(true);
            load.get();

            assertThat(whenServed).isGreaterThanOrEqualTo(whenPublished);
            assertThat(authorities(configuration)).doesNotContainAnyElementsOf(before);
            assertThat(one.notReadyReason()).isEmpty();
            assertThat(two.notReadyReason()).isEmpty();
        }
    }

    @Test
    void processServesTheWebhookThatItsArgumentsAskFor(ControlPlane cluster, @TestNamespace String namespace) {
        String system = cluster.createNamespace("hook-system");
        int port = FreePorts.take();
        try (var operator = OperatorUnderTest.start(
                        cluster,
                        "--namespace",
                        system,
                        "--no-leader-election",
                        "--webhook-port",
                        String.valueOf(port),
                        "--launcher-image",
                        "torpor-launcher:local");
                var configuration = WebhookUnderTest.configure(cluster, port, port, namespace)) {
            configuration.awaitInForce(namespace);
            create(cluster, namespace, WebhookUnderTest.vmPod("web"));
            operator.terminate();
        }
    }

    private static void create(ControlPlane cluster, String namespace, Pod pod) {
        Pod created =
                cluster.client().pods().inNamespace(namespace).resource(pod).create();
        assertThat(LauncherWiring.lacks(created)).isEmpty();
    }

    private static void annotate(ControlPlane cluster, String system, String annotation) {
        cluster.kubectl("annotate", "--overwrite", "secret", SECRET, "-n", system, annotation);
    }

    private static String bundle(MutatingWebhookConfiguration configuration) {
        return String.valueOf(
                configuration.getWebhooks().getFirst().getClientConfig().getCaBundle());
    }

    /** Returns what all webhooks of both configurations trust, which must be the same. */
    private static List<X509Certificate> authorities(WebhookUnderTest configuration) {
        List<X509Certificate> trusted = parse(bundle(configuration.mutating()));
        boolean alike = configuration.validating().getWebhooks().stream()
                .allMatch(webhook -> trusted.equals(
                        parse(String.valueOf(webhook.getClientConfig().getCaBundle()))));
        return alike ? trusted : List.of();
    }

    private static List<X509Certificate> parse(String bundle) {
        try {
            return CertificateFactory.getInstance("X.509")
                    .generateCertificates(
                            new ByteArrayInputStream(Base64.getDecoder().decode(bundle)))
                    .stream()
                    .map(X509Certificate.class::cast)
                    .toList();
        } catch (GeneralSecurityException e) {
            throw new AssertionError(bundle, e);
        }
    }

    /** Tells whether a server shows a certificate of one of these, and none of those. */
    private static boolean serves(int port, List<X509Certificate> authorities, List<X509Certificate> before) {
        X509Certificate shown = handshake(port, authorities);
        return before.stream()
                .noneMatch(authority -> authority.getSubjectX500Principal().equals(shown.getIssuerX500Principal()));
    }

    private static X509Certificate handshake(int port, Collection<X509Certificate> authorities) {
        try {
            KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
            trusted.load(null, null);
            for (X509Certificate authority : authorities) {
                trusted.setCertificateEntry(authority.getSerialNumber().toString(), authority);
            }
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(trusted);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("127.0.0.1", port)) {
                socket.startHandshake();
                Certificate shown = socket.getSession().getPeerCertificates()[0];
                return (X509Certificate) shown;
            }
        } catch (GeneralSecurityException | IOException e) {
            throw new AssertionError("port " + port, e);
        }
    }
}
