package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The ways in which a save can end, each with what becomes of VM, image and status; with both engines where those do something
 * else.
 */
@Tag("standin")
class SaveEndsIT {
    // About 100 MiB that are not zero: some ten seconds.
    private static final String SLOW = "className: slow";

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private StandInPod pod;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow}
                spec: {bandwidthBytesPerSecond: 4000000}
                ---
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow-streams}
                spec: {engine: MultifdStream, bandwidthBytesPerSecond: 4000000}
                ---
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: streams}
                spec: {engine: MultifdStream}
                """, "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @BeforeEach
    void vm() throws Exception {
        pod = cluster.startVm("web", 256, 48);
    }

    @AfterEach
    void clean() {
        cluster.controlPlane.kubectl(
                "delete", "vmrestores,vmsnapshots", "--all", "-n", cluster.namespace, "--timeout=120s");
        cluster.deletePod("web");
    }

    /** The engines, each with the class that has it held back. */
    static Stream<Arguments> engines() {
        return Stream.of(Arguments.of("qemu-direct", SLOW), Arguments.of("multifd-stream", "className: slow-streams"));
    }

    @Test
    void checkpointLetsTheVmGoOn() throws Exception {
        cluster.snapshot("point", "web", "mode: Checkpoint");
        VMSnapshot ready = cluster.awaitReady("point");
        Tick then = pod.lastTick().orElseThrow();
        StandInCluster.awaitGoingOn(pod, then);
        assertThat(pod.starts()).isEqualTo(1);
        assertThat(requireNonNull(ready.getStatus()).getPausedSeconds()).isPositive();
    }

    @ParameterizedTest
    @MethodSource("engines")
    void cancelledSaveLeavesTheVmRunningAndNoFile(String engine, String slow) throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", slow);
        awaitProgress("s");
        cluster.controlPlane.kubectl(
                "patch", "vmsnap", "s", "-n", cluster.namespace, "--type=merge", "-p", "{\"spec\":{\"cancel\":true}}");
        FailureStatus failure = failure("s", engine);
        assertThat(failure.reason()).isEqualTo("Cancelled");
        assertThat(failure.message())
                .isEqualTo("VMSnapshot " + cluster.namespace + "/s: it was cancelled. The VM runs.");
        cluster.awaitSnapshot("s", status -> status.getPhase() == SnapshotPhase.Cancelled);
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(cluster.imageFiles()).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("engines")
    void saveThatIsNotDoneByItsDeadlineLeavesTheVmRunningAndNoFile(String engine, String slow) throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", slow, "deadlineSeconds: 8");
        FailureStatus failure = failure("s", engine);
        assertThat(failure.reason()).isEqualTo("DeadlineExceeded");
        assertThat(failure.message()).contains("not done within 8 s").endsWith("The VM runs.");
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(cluster.imageFiles()).isEmpty();
    }

    @ParameterizedTest
    @MethodSource("engines")
    void deletedSaveLeavesTheVmRunningAndNoFile(String engine, String slow) throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", slow);
        assertThat(awaitProgress("s").getStatus().getEngine()).isEqualTo(engine);
        cluster.controlPlane.kubectl("delete", "vmsnap", "s", "-n", cluster.namespace, "--timeout=120s");
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(cluster.imageFiles()).isEmpty();
        assertThat(pod.starts()).isEqualTo(1);
    }

    @Test
    void qemuKilledDuringTheSaveIsSaidAndItsPodBootsAgain() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", SLOW);
        awaitProgress("s");
        pod.killContainer();
        FailureStatus failure = failure("s");
        assertThat(failure.reason()).isEqualTo("QEMUGone");
        // How the end of its monitor shows is a race.
        assertThat(failure.message())
                .startsWith("VMSnapshot " + cluster.namespace + "/s: ")
                .contains(" monitor ");
        pod.awaitTick(tick -> !tick.nonce().equals(before.nonce()));
        await().atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().isEmpty());
    }

    @Test
    void progressIsShownWithFewWrites() throws Exception {
        List<VMSnapshot> seen = new CopyOnWriteArrayList<>();
        double seconds;
        try (Watch _ = cluster.client
                .resources(VMSnapshot.class)
                .inNamespace(cluster.namespace)
                .watch(new Watcher<>() {
                    @Override
                    public void eventReceived(Action action, VMSnapshot object) {
                        if (action == Action.MODIFIED) {
                            seen.add(object);
                        }
                    }

                    @Override
                    public void onClose(WatcherException cause) {}
                })) {
            cluster.snapshot("s", "web", SLOW);
            VMSnapshot saved = cluster.awaitReady("s");
            seconds = requireNonNull(requireNonNull(saved.getStatus()).getPausedSeconds());
            assertThat(seconds).isGreaterThan(8);
            // More may follow: the image is read back.
            await().atMost(StandInCluster.PATIENCE).until(() -> seen.stream().anyMatch(object -> object.getMetadata()
                    .getResourceVersion()
                    .equals(saved.getMetadata().getResourceVersion())));
        }
        // One each two seconds, and those that every save has.
        assertThat(seen).hasSizeLessThanOrEqualTo(10 + (int) (seconds / 2));
        List<Integer> percents = seen.stream()
                .map(VMSnapshot::getStatus)
                .filter(Objects::nonNull)
                .map(VMSnapshotStatus::getProgress)
                .filter(Objects::nonNull)
                .map(Progress::percent)
                .distinct()
                .toList();
        assertThat(percents).isSorted().hasSizeGreaterThanOrEqualTo(3).endsWith(100);
    }

    /** Of recorded channels; of the other engine's image it is shown by RestoreRefusedIT. */
    @Test
    void guestThatItsOwnerPausedComesBackPaused() throws Exception {
        try (QmpClient qmp = monitor(pod)) {
            assertThat(Guest.pause(qmp)).isTrue();
        }
        cluster.snapshot("s", "web", "className: streams");
        VMSnapshot saved = cluster.awaitReady("s");
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        assertThat(requireNonNull(requireNonNull(saved.getStatus()).getVm()).wasRunning())
                .isFalse();
        cluster.restore("back", "s");
        VMRestore back = cluster.awaitRunning("back");
        assertThat(Conditions.reason(requireNonNull(back.getStatus()).getConditions(), ConditionType.RESUMED))
                .isEqualTo("Paused");
        try (QmpClient qmp = monitor(cluster.pod("web"))) {
            assertThat(Guest.runState(qmp).running()).isFalse();
        }
    }

    @Test
    void crashAfterTheSaveBootsOnlyWhenNothingHoldsIt() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web");
        cluster.awaitReady("s");
        cluster.restore("back", "s");
        cluster.awaitRunning("back");
        StandInPod again = cluster.pod("web");
        StandInCluster.awaitGoingOn(again, before);
        again.killContainer();
        again.awaitTick(tick -> !tick.nonce().equals(before.nonce()));
        await("the image is consumed").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                .noneMatch(file -> file.toString().endsWith(".img")));
    }

    @Test
    void retainedImageStaysWhenItsObjectGoes() throws Exception {
        cluster.snapshot("s", "web", "mode: Checkpoint", "deletionPolicy: Retain");
        cluster.awaitReady("s");
        cluster.controlPlane.kubectl("delete", "vmsnap", "s", "-n", cluster.namespace, "--timeout=120s");
        List<Path> left = cluster.imageFiles();
        assertThat(left).anyMatch(file -> file.toString().endsWith(".img"));
        for (Path file : left) {
            Files.delete(file);
        }
    }

    @Test
    void agentKilledInTheMiddleOfASaveIsFollowedByOneThatSaves() throws Exception {
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", SLOW, "mode: Checkpoint");
        awaitProgress("s");
        cluster.restartAgent("never");
        cluster.awaitReady("s");
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(pod.starts()).isEqualTo(1);
    }

    @ParameterizedTest
    @MethodSource("engines")
    void agentToldToEndWithoutGraceDoesSoAtOnceAndTheNextOneSaves(String engine, String slow) throws Exception {
        cluster.restartAgent(StandInCluster.AgentOptions.grace(0));
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", slow, "mode: Checkpoint");
        awaitProgress("s");
        assertThat(cluster.terminateAgent()).isEqualTo(143);
        cluster.restartAgent("never");
        assertThat(cluster.awaitReady("s").getStatus().getEngine()).isEqualTo(engine);
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(pod.starts()).isEqualTo(1);
    }

    private static QmpClient monitor(StandInPod of) throws Exception {
        try (Directory volume = Directory.open(of.volume());
                Descriptor socket = volume.openFile("qmp.sock", Access.NAME_ONLY)) {
            return QmpClient.connect(socket, QmpLimits.DEFAULT);
        }
    }

    private static VMSnapshot awaitProgress(String name) {
        return cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && requireNonNull(status.getProgress().percent()) > 0);
    }

    private static FailureStatus failure(String name) {
        return requireNonNull(
                requireNonNull(cluster.awaitFailure(name).getStatus()).getFailure());
    }

    private static FailureStatus failure(String name, String engine) {
        FailureStatus failure = failure(name);
        assertThat(cluster.snapshot(name).getStatus().getEngine()).isEqualTo(engine);
        return failure;
    }
}
