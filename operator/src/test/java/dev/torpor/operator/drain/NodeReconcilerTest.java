package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.TestCluster;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The controller step by step on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class NodeReconcilerTest {
    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;
    private NodeReconciler reconciler;

    @BeforeEach
    void startController() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshotClass.class));
        cluster = new TestCluster(client);
        reconciler =
                new NodeReconciler(client, new EventRecorder(client, cluster.clock()), cluster.clock(), StepHook.NONE);
    }

    @ParameterizedTest
    @ValueSource(strings = {"medik8s.io/drain", "kubevirt.io/drain"})
    void aTaintOfADrainToolHasAllVmsOfTheNodeSaved(String key) {
        createPods();
        node(Drained.tainted(key));

        assertThat(step()).isEmpty();
        assertThat(step()).isEmpty();

        assertThat(saves()).extracting(save -> save.getSpec().vmName()).containsExactlyInAnyOrder("big", "small");
        assertThat(saves()).allSatisfy(save -> assertThat(save.getMetadata().getAnnotations())
                .containsEntry(Torpor.DRAIN_CAUSE_ANNOTATION, "Maintenance"));
        assertThat(events("small-0")).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("DrainSaving");
            assertThat(event.getMessage())
                    .isEqualTo("Node n1 is in maintenance (taint %s): VM small is saved.".formatted(key));
        });
    }

    @Test
    void theAnnotationDoesTooAndWhenItGoesTheSavesAreCancelled() {
        createPods();
        node(Drained.inMaintenance("kernel update"));
        step();
        assertThat(saves()).hasSize(2);
        VMSnapshot saved = saves().getFirst();
        status(Drained.saved(saved));

        node(Drained.inMaintenance("false"));
        step();
        step();

        assertThat(saves()).allSatisfy(save -> assertThat(
                        Boolean.TRUE.equals(save.getSpec().cancel()))
                .isNotEqualTo(
                        save.getMetadata().getName().equals(saved.getMetadata().getName())));
        assertThat(saves())
                .filteredOn(save -> Boolean.TRUE.equals(save.getSpec().cancel()))
                .singleElement()
                .satisfies(save -> {
                    assertThat(save.getMetadata().getAnnotations())
                            .containsEntry(Torpor.CANCELLED_BY_ANNOTATION, "drain");
                    assertThat(events(save.getMetadata().getName()))
                            .singleElement()
                            .satisfies(event -> assertThat(event.getReason()).isEqualTo("DrainEnded"));
                });
    }

    @ParameterizedTest
    @ValueSource(strings = {"node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready", "example.com/own"})
    void anyOtherTaintDoesNot(String key) {
        createPods();
        node(Drained.tainted(key));
        assertThat(step()).isEmpty();
        assertThat(saves()).isEmpty();
    }

    @Test
    void aCordonAloneDoesNot() {
        createPods();
        node(Drained.cordoned());
        step();
        assertThat(saves()).isEmpty();
    }

    @Test
    void anUncordonCancelsWhatTheDrainHasNotSavedYet() {
        createPods();
        node(Drained.cordoned());
        create(Drained.saving(Drained.save(1), 1, 2));
        step();
        assertThat(saves().getFirst().getSpec().cancel()).isNull();

        node(Drained.node());
        step();

        assertThat(saves().getFirst().getSpec().cancel()).isTrue();
    }

    @Test
    void anUncordonLeavesSavesOfOthersAndThoseThatItDidNotCause() {
        create(Drained.saving(Drained.save(1, DrainCause.Eviction), 1, 2));
        create(Drained.saving(Drained.snapshot("by-hand", dev.torpor.api.v1alpha1.SaveMode.ManagedSave, null), 1, 2));
        VMSnapshot elsewhere = Drained.saving(Drained.save(2), 1, 2);
        elsewhere.getMetadata().getAnnotations().put(Torpor.DRAIN_NODE_ANNOTATION, "n2");
        create(elsewhere);
        step();
        assertThat(saves())
                .allSatisfy(save -> assertThat(save.getSpec().cancel()).isNull());
    }

    @Test
    void aSaveThatFailedInMaintenanceIsMadeAgainAfterItsBackOff() {
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        node(Drained.inMaintenance("yes"));
        step();
        VMSnapshot first = Drained.failed(saves().getFirst(), "StoreUnavailable");
        Instant failed = cluster.clock().instant();
        Objects.requireNonNull(first.getStatus().getConditions()).getFirst().setLastTransitionTime(failed.toString());
        status(first);

        assertThat(step()).hasValueSatisfying(wait -> {
            Duration passed = Duration.between(failed, cluster.clock().instant());
            assertThat(wait).isBetween(Duration.ofSeconds(30).minus(passed), Duration.ofSeconds(30));
        });
        assertThat(events("web-0"))
                .extracting(Event::getReason)
                .containsExactlyInAnyOrder("DrainSaving", "DrainBlocked");
        cluster.later(30);
        step();
        assertThat(saves())
                .extracting(save -> save.getMetadata().getName())
                .allMatch(name -> name.endsWith("-1") || name.endsWith("-2"))
                .hasSize(2);
    }

    @Test
    void aVmThatCannotBeSavedIsReportedAndLives() {
        failedForGood();
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        assertThat(events("web-0")).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("DrainBlocked");
            assertThat(event.getType()).isEqualTo("Warning");
            assertThat(event.getMessage())
                    .startsWith("torpor: blocked: VM web cannot be saved, and runs on: MigrationBlocked");
        });
    }

    @Test
    void aClassThatSaysDeleteHasItsPodDeletedWithAWarning() {
        failedForGood();
        deletingClass();
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNull();
        assertThat(events("web-0")).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("MemoryLost");
            assertThat(event.getMessage()).contains("onSaveFailure: Delete", "its memory is lost", "MigrationBlocked");
        });
    }

    @Test
    void nothingIsDeletedOnceTheDrainIsOverNorInTheNextBeforeItHasTried() {
        failedForGood();
        deletingClass();
        node(Drained.node());
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        assertThat(saves().getFirst().getMetadata().getAnnotations())
                .containsEntry(Torpor.DRAIN_OVER_ANNOTATION, "true");

        node(Drained.inMaintenance("again"));
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        assertThat(saves()).extracting(save -> SaveName.attemptOf(save)).containsExactlyInAnyOrder(1, 2);
    }

    @Test
    void aNodeThatIsGoneIsNobodysBusiness() {
        create(Drained.bound(Drained.save(1)));
        client.nodes().withName("n1").delete();
        assertThat(step()).isEmpty();
    }

    @Test
    void inMaintenanceNoVmIsSavedOntoADiskThatGoesWithItsNode() {
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        nodeThatGoes();
        step();
        assertThat(saves()).isEmpty();
        assertThat(events("web-0")).singleElement().satisfies(event -> assertThat(event.getReason())
                .isEqualTo("DrainBlocked"));
    }

    @Test
    void inMaintenanceVmsAreSavedOntoADiskThatOutlivesItsNodeWhereTheClassSaysSo() {
        removalClass(OnNodeRemoval.Save);
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        nodeThatGoes();
        step();
        assertThat(saves()).hasSize(1);
    }

    @Test
    void onANodeThatIsDeletedVmsAreShutDownUnsavedWhereTheClassSaysSo() {
        removalClass(OnNodeRemoval.Shutdown);
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        nodeThatGoes();
        step();
        step();
        assertThat(saves()).singleElement().satisfies(order -> {
            assertThat(order.getSpec().cancel()).isTrue();
            assertThat(order.getMetadata().getAnnotations())
                    .containsEntry(Torpor.SHUT_DOWN_ANNOTATION, podUid("web-0") + "/30");
        });
        assertThat(events("web-0")).singleElement().satisfies(event -> assertThat(event.getMessage())
                .contains("onNodeRemoval: Shutdown"));

        status(Drained.ended(saves().getFirst(), SnapshotPhase.Cancelled, "Cancelled"));
        said(false, "Asked", "the guest was asked");
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        said(true, "Ended", "QEMU has ended");
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNull();
    }

    @Test
    void aNodeThatIsNotDeletedAfterAllCallsTheAgentBackAndIsDrainedAnew() {
        removalClass(OnNodeRemoval.Shutdown);
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        VMSnapshot order = Drained.ofPod(
                Drained.ended(Drained.save(1, DrainCause.Removal), SnapshotPhase.Cancelled, "Cancelled"),
                podUid("web-0"));
        order.setSpec(Drained.cancelled(order.getSpec()));
        order.getMetadata().getAnnotations().put(Torpor.SHUT_DOWN_ANNOTATION, podUid("web-0") + "/30");
        create(order);
        said(false, "Asked", "the guest was asked");

        node(Drained.inMaintenance("yes"));
        step();
        assertThat(wish()).isNull();
        step();
        assertThat(saves()).hasSize(2).last().satisfies(save -> {
            assertThat(save.getSpec().cancel()).isNull();
            assertThat(save.getMetadata().getName()).endsWith("-2");
        });
    }

    private void removalClass(OnNodeRemoval policy) {
        VMSnapshotClass local = new VMSnapshotClass();
        local.setMetadata(new ObjectMetaBuilder()
                .withName("local")
                .addToAnnotations(Torpor.DEFAULT_CLASS_ANNOTATION, "true")
                .build());
        local.setSpec(new VMSnapshotClassSpec(null, null, null, null, null, policy, null));
        client.resource(local).create();
    }

    @Test
    void theShortestIsAskedForFirst() {
        NodeDecision decision = NodeDecision.decide(
                Drained.inMaintenance("yes"),
                List.of(vm("big", "8Gi"), vm("small", "512Mi"), vm("middle", "1Gi")),
                List.of(),
                OnNodeRemoval.Block);
        assertThat(decision.actions())
                .extracting(action ->
                        ((NodeAction.Begin) action).pod().getMetadata().getName())
                .containsExactly("small-0", "middle-0", "big-0");
    }

    private static NodeDecision.Vm vm(String name, String memory) {
        return new NodeDecision.Vm(
                vmPod(name + "-0", "uid-of-" + name, name, memory), new SaveStep.Begin(1, Optional.empty()));
    }

    private void failedForGood() {
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        node(Drained.cordoned());
        create(Drained.ofPod(Drained.failed(Drained.save(1), "MigrationBlocked"), podUid("web-0")));
    }

    @Test
    void whereTheClassSaysShutdownTheAgentIsAskedAndThePodGoesWhenQemuHasEnded() {
        failedForGood();
        classThatSays(OnSaveFailure.Shutdown);
        step();
        step();
        assertThat(wish()).isEqualTo(podUid("web-0") + "/30");
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        assertThat(events("web-0")).singleElement().satisfies(event -> {
            assertThat(event.getReason()).isEqualTo("ShuttingDown");
            assertThat(event.getMessage())
                    .contains("onSaveFailure: Shutdown: its guest is asked to shut down", "MigrationBlocked");
        });

        said(false, "Asked", "the guest was asked");
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();

        said(true, "Ended", "QEMU has ended");
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNull();
        assertThat(events("web-0")).extracting(Event::getReason).containsExactlyInAnyOrder("ShuttingDown", "ShutDown");
    }

    @Test
    void aGuestThatDoesNotShutDownInTimeBlocksAndIsNotKilled() {
        failedForGood();
        classThatSays(OnSaveFailure.Shutdown);
        step();
        said(false, "TimedOut", "the guest did not shut down within 30 s, and runs on");
        step();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        assertThat(events("web-0"))
                .filteredOn(event -> event.getReason().equals("DrainBlocked"))
                .singleElement()
                .satisfies(event -> assertThat(event.getMessage())
                        .contains("It was to be shut down: the guest did not shut down within 30 s, and runs on."));
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void anUncordonCallsTheAgentBackAlsoWhenTheGuestHasShutDown(boolean done) {
        failedForGood();
        classThatSays(OnSaveFailure.Shutdown);
        step();
        said(done, done ? "Ended" : "Asked", "");
        node(Drained.node());
        step();
        assertThat(wish()).isNull();
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
        step();
        assertThat(wish()).isNull();
    }

    @Test
    void aSaveThatNoAgentGotIsNoReasonToAskOne() {
        createPod("web-0", Drained.POD_UID, "web", "1Gi");
        node(Drained.cordoned());
        VMSnapshot unbound = Drained.ofPod(Drained.failed(Drained.save(1), "NoLauncher"), podUid("web-0"));
        unbound.getStatus().setNodeName(null);
        create(unbound);
        classThatSays(OnSaveFailure.Shutdown);
        step();
        assertThat(wish()).isNull();
        assertThat(events("web-0")).singleElement().satisfies(event -> assertThat(event.getReason())
                .isEqualTo("DrainBlocked"));
    }

    private @Nullable String wish() {
        return saves().getFirst().getMetadata().getAnnotations().get(Torpor.SHUT_DOWN_ANNOTATION);
    }

    private void said(boolean done, String reason, String message) {
        client.resource(saves().getFirst()).edit(save -> {
            List<Condition> conditions = new ArrayList<>(save.getStatus().getConditions());
            conditions.removeIf(each -> each.getType().equals(ConditionType.SHUT_DOWN));
            conditions.add(Conditions.next(
                    null,
                    ConditionType.SHUT_DOWN,
                    done,
                    reason,
                    message,
                    1L,
                    cluster.clock().instant()));
            save.getStatus().setConditions(conditions);
            return save;
        });
    }

    private void deletingClass() {
        classThatSays(OnSaveFailure.Delete);
    }

    private void classThatSays(OnSaveFailure policy) {
        VMSnapshotClass deleting = new VMSnapshotClass();
        deleting.setMetadata(new ObjectMetaBuilder()
                .withName("fast")
                .withCreationTimestamp("2026-01-01T00:00:00Z")
                .addToAnnotations(Torpor.DEFAULT_CLASS_ANNOTATION, "true")
                .build());
        deleting.setSpec(new VMSnapshotClassSpec(null, null, null, null, policy, null, null));
        client.resource(deleting).create();
    }

    private String podUid(String name) {
        return client.pods()
                .inNamespace("vms")
                .withName(name)
                .require()
                .getMetadata()
                .getUid();
    }

    private void createPods() {
        createPod("big-0", "uid-of-big", "big", "8Gi");
        createPod("small-0", "uid-of-small", "small", "1Gi");
        client.resource(new PodBuilder(vmPod("away-0", "uid-of-away", "away", "1Gi"))
                        .editSpec()
                        .withNodeName("n2")
                        .endSpec()
                        .build())
                .create();
    }

    private void createPod(String name, String uid, String vm, String memory) {
        client.resource(vmPod(name, uid, vm, memory)).create();
    }

    private static Pod vmPod(String name, String uid, String vm, String memory) {
        return new PodBuilder(Drained.pod())
                .editMetadata()
                .withName(name)
                .withUid(uid)
                .addToLabels(Torpor.VM_LABEL, vm)
                .endMetadata()
                .editSpec()
                .editFirstContainer()
                .withNewResources()
                .addToLimits("memory", new Quantity(memory))
                .endResources()
                .endContainer()
                .endSpec()
                .build();
    }

    private void node(Node wanted) {
        client.nodes().withName("n1").edit(node -> {
            node.setSpec(wanted.getSpec());
            node.getMetadata().setAnnotations(wanted.getMetadata().getAnnotations());
            return node;
        });
    }

    private void create(VMSnapshot snapshot) {
        client.resource(snapshot).create();
        status(snapshot);
    }

    private void status(VMSnapshot snapshot) {
        client.resources(VMSnapshot.class)
                .inNamespace("vms")
                .withName(snapshot.getMetadata().getName())
                .editStatus(now -> {
                    now.setStatus(snapshot.getStatus());
                    return now;
                });
    }

    private Optional<Duration> step() {
        return reconciler.step("n1");
    }

    private List<VMSnapshot> saves() {
        return client.resources(VMSnapshot.class).inNamespace("vms").list().getItems();
    }

    private List<Event> events(String object) {
        return client.v1().events().inNamespace("vms").list().getItems().stream()
                .filter(event -> object.equals(event.getInvolvedObject().getName()))
                .toList();
    }

    /** It is in maintenance, and about to be deleted. */
    private void nodeThatGoes() {
        Node going = Drained.inMaintenance("yes");
        going.setSpec(Drained.tainted("karpenter.sh/disrupted").getSpec());
        node(going);
    }
}
