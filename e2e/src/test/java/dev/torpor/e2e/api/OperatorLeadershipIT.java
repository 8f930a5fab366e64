package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.operator.step.Step;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.coordination.v1.Lease;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Two operators, of which one works. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class OperatorLeadershipIT {
    private static final Duration TIMEOUT = Duration.ofMinutes(1);

    @Test
    void secondOperatorTakesOverWhenTheFirstIsTold(ControlPlane cluster, @TestNamespace String namespace) {
        String system = cluster.createNamespace("lead-system");
        OperatorScene scene = new OperatorScene(cluster, namespace);
        try (OperatorUnderTest first = start(cluster, system, "first")) {
            awaitHolder(cluster, system, "first");
            try (OperatorUnderTest second = start(cluster, system, "second")) {
                scene.create("before", OperatorScene.save("web"));
                scene.awaitSnapshotReason("before", "VMNotFound");
                awaitLog(first, "VMSnapshot " + namespace + "/before");
                assertThat(second.log()).doesNotContain("/before");

                first.terminate();

                assertThat(first.log()).contains("first gave the lease back");
                awaitHolder(cluster, system, "second");
                scene.create("after", OperatorScene.save("web"));
                scene.awaitSnapshotReason("after", "VMNotFound");
                awaitLog(second, "VMSnapshot " + namespace + "/after");
            }
        }
    }

    /**
     * It is stopped with four writes in its hands, each decided on what was true then, and goes on when another leader has done all
     * of them, and what came after: it ends, and none of its writes changes anything.
     */
    @Test
    void aLeaderThatIsFrozenUntilAnotherLeadsEndsAndTakesNothingBack(
            ControlPlane cluster, @TestNamespace String namespace) throws Exception {
        String system = cluster.createNamespace("freeze-system");
        OperatorScene scene = new OperatorScene(cluster, namespace);
        SimulatedAgent agent = new SimulatedAgent(cluster.client());
        String[] arguments = {"--namespace", system, "--identity", "frozen"};
        try (SimulatedNode node = SimulatedNode.create(cluster, system, "freeze-1");
                OperatorUnderTest frozen = OperatorUnderTest.startToBeHeld(cluster, arguments)) {
            awaitHolder(cluster, system, "frozen");
            try (OperatorUnderTest _ = start(cluster, system, "other")) {
                // A status that would go back.
                node.runVm(namespace, "told", "told-pod");
                scene.create("told", OperatorScene.spec("told", SaveMode.Checkpoint, null, 300));
                VMSnapshot told = scene.awaitSnapshot("told", SnapshotPhase.Bound);
                frozen.holdNext(Step.SNAPSHOT_PUBLISH);
                agent.saving(told, 10);
                frozen.awaitHeld(Step.SNAPSHOT_PUBLISH);
                // A pod that would be made a second time.
                scene.readySnapshot(node, agent, "back", "back", SaveMode.Save);
                scene.restore("back", "back");
                frozen.holdNext(Step.RESTORE_CREATE_POD);
                agent.imageChecked(scene.awaitRestore("back", RestorePhase.Starting));
                frozen.awaitHeld(Step.RESTORE_CREATE_POD);
                // A pod that would be deleted, whose name is another's by then.
                Pod slept = node.runVm(namespace, "slept", "slept-pod");
                scene.create(
                        "slept",
                        new VMSnapshotSpec(
                                "slept",
                                SaveMode.ManagedSave,
                                null,
                                null,
                                null,
                                300,
                                null,
                                null,
                                ResumePolicy.Manual,
                                null));
                VMSnapshot sleeps = scene.awaitSnapshot("slept", SnapshotPhase.Bound);
                frozen.holdNext(Step.SNAPSHOT_DELETE_POD);
                agent.saved(sleeps);
                frozen.awaitHeld(Step.SNAPSHOT_DELETE_POD);
                // A record that would be made a second time.
                // The pod first: a VMSnapshot that is a second older than its pod is refused.
                Pod pod = cluster.client()
                        .resource(node.vmPod(namespace, "recorded", "recorded-pod")
                                .build())
                        .create();
                scene.create("recorded", OperatorScene.save("recorded"));
                scene.awaitSnapshotReason("recorded", "VMNotRunning");
                frozen.holdNext(Step.SNAPSHOT_RECORD_MANIFEST);
                var _ = node.markRunning(pod);
                frozen.awaitHeld(Step.SNAPSHOT_RECORD_MANIFEST);

                frozen.freeze();
                // As if it had run out: nobody waits 15 s for that, and the frozen one learns of it by asking only.
                giveLeaseUp(cluster, system);
                awaitHolder(cluster, system, "other");
                agent.saved(scene.awaitSnapshot("told", SnapshotPhase.Saving));
                scene.awaitTerminating(slept);
                node.finishTermination(slept);
                agent.saved(scene.awaitSnapshot("recorded", SnapshotPhase.Bound));
                scene.awaitTerminating(pod);
                node.finishTermination(pod);
                scene.awaitRestore("back", "pod", seen -> seen.getStatus().getPod() != null);
                agent.resumed(scene.restore("back"));
                scene.awaitRestore("back", RestorePhase.Running);
                for (String name : List.of("told", "slept", "recorded")) {
                    scene.awaitSnapshot(name, SnapshotPhase.Ready);
                }
                scene.awaitSnapshotReason("back", "Consumed");
                assertThat(scene.pods())
                        .extracting(each -> each.getMetadata().getName())
                        .containsExactlyInAnyOrder("told-pod", "back-pod", "slept-pod");
                String done = awaitStillness(cluster, namespace);

                for (Step step : List.of(
                        Step.SNAPSHOT_PUBLISH,
                        Step.RESTORE_CREATE_POD,
                        Step.SNAPSHOT_DELETE_POD,
                        Step.SNAPSHOT_RECORD_MANIFEST)) {
                    frozen.letGo(step);
                }
                frozen.thaw();
                assertThat(frozen.awaitEnd()).isEqualTo(1);
                assertThat(frozen.log()).contains("frozen lost its lease: ending at once");
                assertThat(awaitStillness(cluster, namespace)).isEqualTo(done);
                awaitHolder(cluster, system, "other");
            }
        }
    }

    private static void giveLeaseUp(ControlPlane cluster, String system) {
        cluster.client()
                .leases()
                .inNamespace(system)
                .withName("torpor-operator")
                .edit(lease -> {
                    lease.getSpec().setHolderIdentity("");
                    return lease;
                });
    }

    /**
     * Waits until nothing that an operator writes has changed for a second, and returns all of it: of its own objects and Events
     * (with their counts) the versions, of pods what they are, as scheduler and node controller write to those as well.
     */
    private static String awaitStillness(ControlPlane cluster, String namespace) {
        AtomicReference<String> seen = new AtomicReference<>("");
        await("nothing changes").atMost(TIMEOUT).during(Duration.ofSeconds(1)).until(() -> {
            String now =
                    get(cluster, namespace, "vmsnap,vmrestore,controllerrevisions", "", ".metadata.resourceVersion")
                            + get(
                                    cluster,
                                    namespace,
                                    "pods",
                                    "",
                                    ".metadata.deletionTimestamp",
                                    ".metadata.labels",
                                    ".metadata.annotations",
                                    ".metadata.ownerReferences",
                                    ".metadata.finalizers",
                                    ".spec")
                            + get(
                                    cluster,
                                    namespace,
                                    "events",
                                    "source=" + Torpor.OPERATOR_MANAGER,
                                    ".metadata.resourceVersion",
                                    ".message");
            return now.equals(seen.getAndSet(now));
        });
        return seen.get();
    }

    /**
     * Returns a line for each object.
     *
     * @param selector of fields; empty: all
     */
    private static String get(ControlPlane cluster, String namespace, String kinds, String selector, String... fields) {
        String line = Stream.concat(Stream.of(".kind", ".metadata.name", ".metadata.uid"), Stream.of(fields))
                .collect(Collectors.joining("} {", "{", "}"));
        return cluster.kubectl(
                "get",
                kinds,
                "-n",
                namespace,
                "--field-selector=" + selector,
                "-o",
                "jsonpath={range .items[*]}" + line + "{\"\\n\"}{end}");
    }

    private static OperatorUnderTest start(ControlPlane cluster, String system, String identity) {
        return OperatorUnderTest.start(cluster, "--namespace", system, "--identity", identity);
    }

    // Status is written first, and the line after it.
    private static void awaitLog(OperatorUnderTest operator, String text) {
        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(operator.log()).contains(text));
    }

    private static void awaitHolder(ControlPlane cluster, String system, String identity) {
        await("leader").atMost(TIMEOUT).until(() -> {
            Lease lease = cluster.client()
                    .leases()
                    .inNamespace(system)
                    .withName("torpor-operator")
                    .get();
            return lease != null && identity.equals(lease.getSpec().getHolderIdentity());
        });
    }
}
