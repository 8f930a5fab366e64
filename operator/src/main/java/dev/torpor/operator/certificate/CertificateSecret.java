package dev.torpor.operator.certificate;

import io.fabric8.kubernetes.api.model.Secret;
import io.fabric8.kubernetes.api.model.SecretBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Optional;

/** The Secret with the webhook's certificates. */
final class CertificateSecret {
    static final String NAME = "torpor-webhook-certs";
    /** The type asks for tls.crt and tls.key, which are there always. */
    private static final String TYPE = "kubernetes.io/tls";

    private final KubernetesClient client;
    private final String namespace;

    CertificateSecret(KubernetesClient client, String namespace) {
        this.client = client;
        this.namespace = namespace;
    }

    /** Reads it from the API server itself. */
    Optional<Secret> read() {
        return Optional.ofNullable(
                client.secrets().inNamespace(namespace).withName(NAME).get());
    }

    /** Creates it, or writes it if it still is what was read; fails with 409 if somebody was quicker. */
    void write(Optional<Secret> before, StoredCertificates content) {
        if (before.isPresent()) {
            Secret secret = before.get();
            client.resource(new SecretBuilder(secret)
                            .editMetadata()
                            .withAnnotations(
                                    content.annotations(secret.getMetadata().getAnnotations()))
                            .endMetadata()
                            .withData(content.data())
                            .build())
                    .update();
        } else {
            client.resource(new SecretBuilder()
                            .withNewMetadata()
                            .withNamespace(namespace)
                            .withName(NAME)
                            .addToLabels("app.kubernetes.io/managed-by", "torpor-operator")
                            .withAnnotations(content.annotations(null))
                            .endMetadata()
                            .withType(TYPE)
                            .withData(content.data())
                            .build())
                    .create();
        }
    }
}
