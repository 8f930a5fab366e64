package dev.torpor.operator.uninstall;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.NonDeletingOperation;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@EnableKubernetesMockClient(crud = true, https = false)
class UninstallGuardTest {
    @SuppressWarnings("NullAway.Init")
    private KubernetesClient client;

    private static final String POD = "0a1b2c3d-0000-4000-8000-000000000000";
    private static final String NOT_YET = "NotYet";

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
        "Save,        Bound,     NotYet,     true",
        "Save,        Saving,    NotYet,     true",
        "Save,        Saved,     Available,  true",
        "Save,        Ready,     Available,  true",
        "Save,        Ready,     Damaged,    true",
        "Save,        Ready,     NodeGone,   true",
        "Save,        Ready,     Stale,      false",
        "Save,        Resuming,  Available,  true",
        "Save,        Consumed,  Consumed,   false",
        "Save,        Failed,    NotYet,     false",
        "Save,        Cancelled, NotYet,     false",
        "Save,        Pending,   NotYet,     false",
        "ManagedSave, Ready,     Available,  true",
        "ManagedSave, Ready,     Missing,    true",
        "ManagedSave, Ready,     Stale,      false",
        "ManagedSave, Consumed,  Consumed,   false",
        "ManagedSave, Pending,   NotYet,     false",
        "Checkpoint,  Saving,    NotYet,     true",
        "Checkpoint,  Ready,     Available,  false",
        "Checkpoint,  Resuming,  Available,  false",
    })
    void aVmWaitsWhileItsMemoryIsInTheImageOnly(SaveMode mode, SnapshotPhase phase, String image, boolean waits) {
        assertThat(UninstallGuard.waits(snapshot("s", mode, phase, image))).isEqualTo(waits);
    }

    @Test
    void aSnapshotWithoutStatusWaitsForNothingUnlessItIsOfAnImageThatAnAgentMadeByItself() {
        VMSnapshot fresh = snapshot("s", SaveMode.ManagedSave, SnapshotPhase.Pending, NOT_YET);
        fresh.setStatus(null);
        assertThat(UninstallGuard.waits(fresh)).isFalse();
        VMSnapshot adopting = adopting(SnapshotPhase.Pending, NOT_YET);
        adopting.setStatus(null);
        assertThat(UninstallGuard.waits(adopting)).isTrue();
    }

    @ParameterizedTest
    @CsvSource({"Pending, NotYet, true", "Ready, Damaged, true", "Failed, NotYet, false", "Consumed, Consumed, false"})
    void theSameHoldsForAnImageThatAnAgentMadeByItself(SnapshotPhase phase, String image, boolean waits) {
        assertThat(UninstallGuard.waits(adopting(phase, image))).isEqualTo(waits);
    }

    @Test
    void aSaveThatIsBeingDeletedWaitsUnlessItIsGivenUp() {
        VMSnapshot deleted = snapshot("s", SaveMode.ManagedSave, SnapshotPhase.Ready, "Available");
        deleted.getMetadata().setDeletionTimestamp("2026-01-01T00:00:00Z");
        assertThat(UninstallGuard.waits(deleted)).isTrue();
        deleted.getMetadata().setAnnotations(Map.of(Torpor.DISCARD_ANNOTATION, "true"));
        assertThat(UninstallGuard.waits(deleted)).isFalse();
    }

    @Test
    void whatAnAgentSavedByItselfWaitsBeforeItHasASnapshot() {
        tell(true);

        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .startsWith(
                        "A VM waits in an image:\n  VM vms/web on node n1: its agent saved it by itself, and VMSnapshot "
                                + "web-0a1b2c3d-a1 does not tell of it yet\nTorpor stays");
        assertThat(webhooksLeft()).isEqualTo(2);
    }

    @Test
    void soDoesWhatAnAgentIsSaving() {
        tell(false);

        assertThat(prepare(false)).isFalse();
        assertThat(said()).contains("its agent saves it by itself");
    }

    @Test
    void aSaveOfAnAgentIsNamedOnceHoweverFarItsSnapshotIs() {
        tell(true);
        VMSnapshot pending = adopting(SnapshotPhase.Pending, NOT_YET);
        pending.setStatus(null);
        client.resource(pending).create();

        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .startsWith(
                        "A VM waits in an image:\n  VMSnapshot vms/web-0a1b2c3d-a1 of VM web on no node yet: Pending\n");

        create(adopting(SnapshotPhase.Ready, "Available"));
        said.reset();
        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .startsWith("A VM waits in an image:\n  VMSnapshot vms/web-0a1b2c3d-a1 of VM web on node n1: Ready\n");

        create(adopting(SnapshotPhase.Consumed, "Consumed"));
        assertThat(prepare(false))
                .as("its agent has yet to take it off its list")
                .isTrue();
    }

    @Test
    void anImageThatCannotBeRestoredIsNamedWithWhatIsWrongWithIt() {
        create(snapshot("web-saved", SaveMode.ManagedSave, SnapshotPhase.Ready, "Damaged"));

        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .contains("VMSnapshot vms/web-saved of VM web on node n1: Ready, but it cannot be restored: Damaged\n");
    }

    @Test
    void waitingVmsAreNamedAndNothingIsTakenAway() {
        create(snapshot("web-saved", SaveMode.Save, SnapshotPhase.Ready, "Available"));

        assertThat(prepare(false)).isFalse();
        assertThat(said())
                .startsWith(
                        "A VM waits in an image:\n  VMSnapshot vms/web-saved of VM web on node n1: Ready\nTorpor stays")
                .contains("The images stay as they are.");
        assertThat(webhooksLeft()).isEqualTo(2);
    }

    @Test
    void forcedTheWebhooksGoFirst() {
        create(snapshot("web-saved", SaveMode.Save, SnapshotPhase.Ready, "Available"));

        assertThat(prepare(true)).isTrue();
        assertThat(said()).contains("vms/web-saved").contains("the images stay on their nodes");
        assertThat(webhooksLeft()).isZero();
        assertThat(client.resources(VMSnapshot.class).inNamespace("vms").list().getItems())
                .hasSize(1);
    }

    @Test
    void withoutWaitingVmsTheWebhooksGoAndAgainIsFine() {
        create(snapshot("web-kept", SaveMode.Checkpoint, SnapshotPhase.Ready, "Available"));

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
        client.resource(snapshot).createOr(NonDeletingOperation::update);
        client.resource(snapshot).updateStatus();
    }

    private void tell(boolean saved) {
        NodeStore store = new NodeStore();
        store.setMetadata(new ObjectMetaBuilder().withName("n1").build());
        store.setStatus(new NodeStoreStatus(
                null,
                null,
                null,
                null,
                null,
                List.of(new TerminationSave("vms", "web", POD, POD + "-a1", saved, null)),
                null));
        client.resource(store).create();
        client.resource(store).updateStatus();
    }

    private static VMSnapshot adopting(SnapshotPhase phase, String image) {
        VMSnapshot snapshot = snapshot("web-0a1b2c3d-a1", SaveMode.ManagedSave, phase, image);
        snapshot.setSpec(new VMSnapshotSpec(
                "web",
                SaveMode.ManagedSave,
                null,
                new SourceSpec(POD, POD + "-a1"),
                null,
                null,
                null,
                null,
                null,
                null));
        return snapshot;
    }

    /**
     * @param image what condition ImageAvailable and Ready give as their reason; {@link #NOT_YET} if nothing is saved
     */
    private static VMSnapshot snapshot(String name, SaveMode mode, SnapshotPhase phase, String image) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withName(name).withNamespace("vms").build());
        snapshot.setSpec(new VMSnapshotSpec("web", mode, null, null, null, null, null, null, null, null));
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setPhase(phase);
        status.setNodeName("n1");
        boolean available = image.equals("Available");
        status.setConditions(List.of(
                condition(ConditionType.SAVED, !image.equals(NOT_YET), "Saved"),
                condition(ConditionType.IMAGE_AVAILABLE, available, image),
                condition(ConditionType.READY, available && phase == SnapshotPhase.Ready, image)));
        snapshot.setStatus(status);
        return snapshot;
    }

    private static Condition condition(String type, boolean status, String reason) {
        return new ConditionBuilder()
                .withType(type)
                .withStatus(status ? "True" : "False")
                .withReason(reason)
                .build();
    }
}
