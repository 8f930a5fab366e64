package dev.torpor.operator.uninstall;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@EnableKubernetesMockClient(crud = true)
class UninstallGuardTest {
    @SuppressWarnings("NullAway.Init")
    private KubernetesClient client;

    private final ByteArrayOutputStream said = new ByteArrayOutputStream();

    @BeforeEach
    void webhooks() {
        client.resource(new MutatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .build())
                .create();
        client.resource(new ValidatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .build())
                .create();
    }

    @ParameterizedTest
    @CsvSource({
        "Save,        Bound,     false, true",
        "Save,        Saving,    false, true",
        "Save,        Saved,     false, true",
        "Save,        Ready,     true,  true",
        "Save,        Ready,     false, false",
        "Save,        Resuming,  false, true",
        "Save,        Consumed,  false, false",
        "Save,        Failed,    false, false",
        "Save,        Cancelled, false, false",
        "Save,        Pending,   false, false",
        "ManagedSave, Ready,     true,  true",
        "Checkpoint,  Saving,    false, true",
        "Checkpoint,  Ready,     true,  false",
    })
    void aVmWaitsWhileItsMemoryIsInTheImageOnly(SaveMode mode, SnapshotPhase phase, boolean ready, boolean waits) {
        assertThat(UninstallGuard.waits(snapshot("s", mode, phase, ready))).isEqualTo(waits);
    }

    @Test
    void aSnapshotWithoutStatusWaitsForNothing() {
        VMSnapshot fresh = snapshot("s", SaveMode.Save, SnapshotPhase.Pending, false);
        fresh.setStatus(null);
        assertThat(UninstallGuard.waits(fresh)).isFalse();
    }

    @Test
    void waitingVmsAreNamedAndNothingIsTakenAway() {
        create(snapshot("web-saved", SaveMode.Save, SnapshotPhase.Ready, true));

        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .startsWith(
                        "A VM waits in an image:\n  VMSnapshot vms/web-saved of VM web on node n1: Ready\nTorpor stays")
                .contains("The images are safe.");
        assertThat(webhooksLeft()).isEqualTo(2);
    }

    @Test
    void forcedTheWebhooksGoFirst() {
        create(snapshot("web-saved", SaveMode.Save, SnapshotPhase.Ready, true));

        assertThat(prepare(true)).isTrue();
        assertThat(said()).contains("vms/web-saved").contains("the images stay on their nodes");
        assertThat(webhooksLeft()).isZero();
        assertThat(client.resources(VMSnapshot.class).inNamespace("vms").list().getItems())
                .hasSize(1);
    }

    @Test
    void withoutWaitingVmsTheWebhooksGoAndAgainIsFine() {
        create(snapshot("web-kept", SaveMode.Checkpoint, SnapshotPhase.Ready, true));

        assertThat(prepare(false)).isTrue();
        assertThat(prepare(false)).isTrue();
        assertThat(webhooksLeft()).isZero();
    }

    @Test
    void theBudgetsThatHoldVmsGoTooAndNoOthers() {
        for (String manager : List.of("torpor-operator", "argocd")) {
            client.resource(new PodDisruptionBudgetBuilder()
                            .withNewMetadata()
                            .withNamespace("of-" + manager)
                            .withName("torpor-vms")
                            .addToLabels("app.kubernetes.io/part-of", "torpor")
                            .addToLabels("app.kubernetes.io/managed-by", manager)
                            .endMetadata()
                            .build())
                    .create();
        }

        assertThat(prepare(false)).isTrue();

        assertThat(said()).contains("PodDisruptionBudgets torpor-vms deleted: 1.");
        assertThat(client.policy()
                        .v1()
                        .podDisruptionBudget()
                        .inAnyNamespace()
                        .list()
                        .getItems())
                .extracting(budget -> budget.getMetadata().getNamespace())
                .containsExactly("of-argocd");
    }

    private boolean prepare(boolean force) {
        return new UninstallGuard(client, new PrintStream(said, true, StandardCharsets.UTF_8)).prepare(force);
    }

    private String said() {
        return said.toString(StandardCharsets.UTF_8);
    }

    private int webhooksLeft() {
        var admission = client.admissionRegistration().v1();
        return admission.mutatingWebhookConfigurations().list().getItems().size()
                + admission.validatingWebhookConfigurations().list().getItems().size();
    }

    private void create(VMSnapshot snapshot) {
        client.resource(snapshot).create();
        client.resource(snapshot).updateStatus();
    }

    private static VMSnapshot snapshot(String name, SaveMode mode, SnapshotPhase phase, boolean ready) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withName(name).withNamespace("vms").build());
        snapshot.setSpec(new VMSnapshotSpec("web", mode, null, null, null, null, null, null, null, null));
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setPhase(phase);
        status.setNodeName("n1");
        status.setConditions(List.of(new ConditionBuilder()
                .withType(ConditionType.READY)
                .withStatus(ready ? "True" : "False")
                .build()));
        snapshot.setStatus(status);
        return snapshot;
    }
}
