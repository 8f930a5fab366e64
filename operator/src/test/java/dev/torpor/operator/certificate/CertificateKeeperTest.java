package dev.torpor.operator.certificate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.operator.certificate.RotationAction.Create;
import dev.torpor.operator.certificate.RotationAction.Prepare;
import dev.torpor.operator.certificate.RotationAction.Promote;
import dev.torpor.operator.certificate.RotationAction.Publish;
import dev.torpor.operator.certificate.RotationAction.Trim;
import dev.torpor.operator.certificate.RotationAction.Wait;
import io.fabric8.kubernetes.api.model.Secret;
import io.fabric8.kubernetes.api.model.SecretBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfiguration;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Replicas that make steps by turns, and stop in between. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class CertificateKeeperTest {
    KubernetesClient client;

    private Instant now = Instant.parse("2026-01-01T00:00:00Z");

    @BeforeEach
    void configurations() {
        client.resource(new MutatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .addNewWebhook()
                        .withName("mutate-pods.torpor.dev")
                        .withNewClientConfig()
                        .endClientConfig()
                        .endWebhook()
                        .build())
                .create();
        client.resource(new ValidatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .addNewWebhook()
                        .withName("validate-pods.torpor.dev")
                        .withNewClientConfig()
                        .endClientConfig()
                        .endWebhook()
                        .addNewWebhook()
                        .withName("validate-workloads.torpor.dev")
                        .withNewClientConfig()
                        .endClientConfig()
                        .endWebhook()
                        .build())
                .create();
    }

    @Test
    void firstCertificateIsMadeAndTrustedBeforeTheReplicaIsReady() {
        CertificateKeeper keeper = keeper();
        assertThat(keeper.notReadyReason()).isPresent();

        assertThat(keeper.step()).isInstanceOf(Create.class);
        assertThat(keeper.step()).isInstanceOf(Publish.class);
        assertThat(keeper.notReadyReason())
                .contains(
                        "MutatingWebhookConfiguration torpor does not trust the certificate that is served here; ValidatingWebhookConfiguration torpor does not trust the certificate that is served here");
        assertThat(keeper.step()).isInstanceOf(Wait.class);
        assertThat(keeper.notReadyReason()).isEmpty();
        assertThat(keeper.expiry()).contains(now.plus(GenerationFactory.LIFETIME));
    }

    @Test
    void replicaServesWhatAnotherOneMade() {
        settle(keeper());
        CertificateKeeper second = keeper();

        assertThat(second.step()).isInstanceOf(Wait.class);
        assertThat(second.notReadyReason()).isEmpty();
        assertThat(second.key().certificate()).contains(stored().current().certificate());
    }

    @Test
    void missingConfigurationIsSaid() {
        CertificateKeeper keeper = settle(keeper());
        client.resources(MutatingWebhookConfiguration.class).withName("torpor").delete();

        keeper.step();

        assertThat(keeper.notReadyReason())
                .contains("a webhook configuration named torpor is missing: install the chart's");
    }

    @Test
    void lostBundleIsRepaired() {
        CertificateKeeper keeper = settle(keeper());
        client.resources(MutatingWebhookConfiguration.class)
                .withName("torpor")
                .edit(found -> new MutatingWebhookConfigurationBuilder(found)
                        .editFirstWebhook()
                        .editClientConfig()
                        .withCaBundle(null)
                        .endClientConfig()
                        .endWebhook()
                        .build());

        assertThat(keeper.step()).isInstanceOf(Publish.class);
        assertThat(keeper.notReadyReason()).isPresent();
        assertThat(keeper.step()).isInstanceOf(Wait.class);
        assertThat(keeper.notReadyReason()).isEmpty();
    }

    /** At each step another process takes over, as if the one before had died right after its write. */
    @Test
    void exchangeIsCarriedOnByWhoeverIsThere() {
        CertificateKeeper served = settle(keeper());
        Generation before = stored().current();
        now = now.plus(Duration.ofDays(250));

        assertThat(keeper().step()).isInstanceOf(Prepare.class);
        assertThat(ready(served)).isTrue();
        assertThat(keeper().step()).isInstanceOf(Publish.class);
        assertThat(ready(served)).isTrue();
        CertificateKeeper third = keeper();
        assertThat(third.step()).isInstanceOf(Wait.class);
        now = now.plus(Rotation.SETTLE);
        assertThat(third.step()).isInstanceOf(Promote.class);
        assertThat(served.key().certificate()).contains(before.certificate());
        assertThat(ready(served)).isTrue();
        assertThat(served.key().certificate())
                .contains(stored().current().certificate())
                .isNotEqualTo(Optional.of(before.certificate()));
        assertThat(keeper().step()).isInstanceOf(Wait.class);
        now = now.plus(Rotation.TRIM_AFTER);
        assertThat(keeper().step()).isInstanceOf(Trim.class);
        assertThat(keeper().step()).isInstanceOf(Publish.class);
        assertThat(keeper().step()).isInstanceOf(Wait.class);
        assertThat(new WebhookConfigurations(client).read())
                .hasSize(2)
                .allMatch(bundle -> bundle.isExactly(List.of(stored().current().authority())));
    }

    @Test
    void deletedSecretLeadsToAnExchangeThatCutsNobodyOff() {
        CertificateKeeper keeper = settle(keeper());
        Generation before = stored().current();
        client.secrets().inNamespace("ns").withName(CertificateSecret.NAME).delete();

        assertThat(keeper.step()).isInstanceOf(Create.class);

        assertThat(stored().current()).isEqualTo(before);
        assertThat(stored().next()).isPresent();
    }

    @Test
    void secretThatCannotBeReadIsWrittenAnew() {
        client.resource(new SecretBuilder()
                        .withNewMetadata()
                        .withNamespace("ns")
                        .withName(CertificateSecret.NAME)
                        .addToAnnotations("kept", "yes")
                        .endMetadata()
                        .addToData("tls.crt", "bm9uc2Vuc2U=")
                        .build())
                .create();
        CertificateKeeper keeper = keeper();

        assertThat(keeper.step()).isInstanceOf(Create.class);
        keeper.step();

        assertThat(keeper.key().certificate()).contains(stored().current().certificate());
        assertThat(secret().getMetadata().getAnnotations()).containsEntry("kept", "yes");
    }

    @Test
    void askingForAnExchangeIsAnsweredOnce() {
        CertificateKeeper keeper = settle(keeper());
        client.secrets().inNamespace("ns").withName(CertificateSecret.NAME).edit(secret -> new SecretBuilder(secret)
                .editMetadata()
                .addToAnnotations(StoredCertificates.ROTATE_ANNOTATION, "now")
                .endMetadata()
                .build());

        assertThat(keeper.step()).isInstanceOf(Prepare.class);

        assertThat(secret().getMetadata().getAnnotations()).doesNotContainKey(StoredCertificates.ROTATE_ANNOTATION);
        assertThat(keeper.step()).isInstanceOf(Publish.class);
    }

    @Test
    void olderBundleDoesNotOverwriteANewerOne() {
        settle(keeper());
        WebhookConfigurations configurations = new WebhookConfigurations(client);
        Bundle seen = configurations.read().getFirst();
        Generation other = new GenerationFactory().make(List.of("x"), now);
        configurations.publish(seen, List.of(stored().current().authority(), other.authority()));

        assertThatThrownBy(() ->
                        configurations.publish(seen, List.of(stored().current().authority())))
                .isInstanceOfSatisfying(KubernetesClientException.class, e -> assertThat(e.getCode())
                        .isEqualTo(409));
    }

    @Test
    void olderSecretDoesNotOverwriteANewerOne() {
        settle(keeper());
        CertificateSecret secret = new CertificateSecret(client, "ns");
        Optional<Secret> seen = secret.read();
        Generation other = new GenerationFactory().make(List.of("x"), now);
        secret.write(seen, stored().preparing(other));

        assertThatThrownBy(() -> secret.write(seen, stored().trimmed()))
                .isInstanceOfSatisfying(KubernetesClientException.class, e -> assertThat(e.getCode())
                        .isEqualTo(409));
    }

    private boolean ready(CertificateKeeper keeper) {
        keeper.look();
        return keeper.notReadyReason().isEmpty();
    }

    private CertificateKeeper settle(CertificateKeeper keeper) {
        while (!(keeper.step() instanceof Wait)) {}
        return keeper;
    }

    private CertificateKeeper keeper() {
        return new CertificateKeeper(client, "ns", "torpor-webhook", () -> now);
    }

    private StoredCertificates stored() {
        try {
            return StoredCertificates.parse(secret());
        } catch (GeneralSecurityException e) {
            throw new AssertionError(e);
        }
    }

    private Secret secret() {
        return Objects.requireNonNull(client.secrets()
                .inNamespace("ns")
                .withName(CertificateSecret.NAME)
                .get());
    }
}
