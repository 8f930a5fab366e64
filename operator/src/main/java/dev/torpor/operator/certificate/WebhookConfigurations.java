package dev.torpor.operator.certificate;

import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfiguration;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfiguration;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.WebhookClientConfig;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The two webhook configurations named {@code torpor}, of which we write the bundles. */
final class WebhookConfigurations {
    static final String NAME = "torpor";
    static final List<Class<? extends HasMetadata>> KINDS =
            List.of(MutatingWebhookConfiguration.class, ValidatingWebhookConfiguration.class);

    private final KubernetesClient client;

    WebhookConfigurations(KubernetesClient client) {
        this.client = client;
    }

    /** Reads what both say, from the API server itself. A configuration that is not there is left out. */
    List<Bundle> read() {
        List<Bundle> bundles = new ArrayList<>();
        for (Class<? extends HasMetadata> kind : KINDS) {
            HasMetadata found = client.resources(kind).withName(NAME).get();
            if (found != null) {
                bundles.add(new Bundle(
                        found,
                        clientConfigs(found).stream()
                                .map(WebhookConfigurations::trusted)
                                .toList()));
            }
        }
        return bundles;
    }

    /**
     * Writes a bundle into every webhook of a configuration. Fails with 409 if the configuration is no longer what was
     * read: somebody who was quicker may have written a bundle that ours would undo.
     */
    void publish(Bundle outdated, Collection<X509Certificate> authorities) {
        String bundle = Base64.getEncoder()
                .encodeToString(Pem.of(List.copyOf(authorities)).getBytes(StandardCharsets.US_ASCII));
        HasMetadata changed = copy(outdated.configuration());
        clientConfigs(changed).forEach(webhook -> webhook.setCaBundle(bundle));
        client.resource(changed).update();
    }

    private static HasMetadata copy(HasMetadata configuration) {
        return switch (configuration) {
            case MutatingWebhookConfiguration mutating -> new MutatingWebhookConfigurationBuilder(mutating).build();
            case ValidatingWebhookConfiguration validating ->
                new ValidatingWebhookConfigurationBuilder(validating).build();
            default -> throw unknown(configuration);
        };
    }

    private static List<WebhookClientConfig> clientConfigs(HasMetadata configuration) {
        return switch (configuration) {
            case MutatingWebhookConfiguration mutating ->
                mutating.getWebhooks().stream()
                        .map(webhook -> webhook.getClientConfig())
                        .toList();
            case ValidatingWebhookConfiguration validating ->
                validating.getWebhooks().stream()
                        .map(webhook -> webhook.getClientConfig())
                        .toList();
            default -> throw unknown(configuration);
        };
    }

    private static IllegalArgumentException unknown(HasMetadata configuration) {
        return new IllegalArgumentException(configuration.getKind() + " configures no webhooks");
    }

    private static Set<X509Certificate> trusted(WebhookClientConfig webhook) {
        @Nullable String bundle = webhook.getCaBundle();
        try {
            return bundle == null
                    ? Set.of()
                    : new HashSet<>(Pem.certificates(
                            new String(Base64.getDecoder().decode(bundle), StandardCharsets.US_ASCII)));
        } catch (GeneralSecurityException | IllegalArgumentException e) {
            return Set.of(); // Not a bundle of ours, so it is written anew.
        }
    }
}
