package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Pods that end past the eviction API: their hook has the agent save the VM, as its policy says. */
@Tag("standin")
class TerminationIT {
    private static final List<String> STEPS = List.of(
            "after SAVE_RECORD",
            "after SAVE_PAUSE",
            "before SAVE_WRITE",
            "after SAVE_WRITE",
            "after SAVE_COMMIT",
            "after SAVE_RETIRE");

    @Test
    void aDeletedPodsVmIsSavedAndComesBackWhateverTheAgentDiesOf() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            Tick tick = pod.lastTick().orElseThrow();
            for (String step : STEPS) {
                String uid = pod.uid();
                cluster.restartAgent(step);
                cluster.awaitAgentServing(); // the pod's grace period is not for its start
                cluster.client
                        .pods()
                        .inNamespace(cluster.namespace)
                        .withName("db")
                        .delete();
                cluster.awaitAgentDeath();
                cluster.restartAgent("never");

                await("a snapshot of pod " + uid + " that was resumed")
                        .atMost(StandInCluster.PATIENCE)
                        .until(() -> snapshotsOf(cluster, uid).stream().anyMatch(TerminationIT::wasResumed));
                pod = cluster.pod("db");
                assertThat(pod.uid()).isNotEqualTo(uid);
                tick = StandInCluster.awaitGoingOn(pod, tick);
            }
            await("an empty list in the NodeStore")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> saves(cluster).isEmpty());
        }
    }

    @Test
    void withTheOperatorAwayTheVmIsSavedAndHeldUntilItIsBack() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            Tick tick = pod.lastTick().orElseThrow();
            String uid = pod.uid();
            cluster.killOperator();
            cluster.deletePod("db");

            await("the save in the NodeStore").atMost(StandInCluster.PATIENCE).until(() -> isSaved(cluster, uid));
            assertThat(snapshotsOf(cluster, uid)).isEmpty();
            List<TerminationSave> told = saves(cluster);
            cluster.client.resources(NodeStore.class).delete();
            await("a NodeStore that somebody deleted is made again")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> saves(cluster).equals(told));

            cluster.client
                    .resource(cluster.withHook("db", 192, 8, Optional.of(OnTermination.ManagedSave)))
                    .create();
            StandInPod next = cluster.pod("db");
            await("a launcher that is held").atMost(StandInCluster.PATIENCE).until(() -> next.output()
                    .contains("the memory of this VM is saved here"));
            assertThat(next.lastTick()).isEmpty();

            cluster.startAnotherOperator();
            StandInCluster.awaitGoingOn(next, tick);
            assertThat(next.starts()).isEqualTo(1);
        }
    }

    @Test
    void anApiServerThatHangsIsWaitedForWithinTheGracePeriodAndNoImageIsMadeThatNobodyHeardOf() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            String uid = pod.uid();
            end(cluster, 150, "before SAVE_RECORD");
            cluster.controlPlane.suspendApiServer();
            cluster.letAgentGoOn();
            await("a save that could not be told")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> cluster.agentLog().stream()
                            .anyMatch(
                                    line -> line.contains("could not be saved") && line.contains("StoreUnavailable")));
            await("what was begun is taken back")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> cluster.imageFiles().isEmpty());
            Tick tick = StandInCluster.awaitGoingOn(pod, pod.lastTick().orElseThrow());
            cluster.controlPlane.continueApiServer();
            cluster.awaitAgentWaiting();

            // The next try is told, and committed while nobody hears: the pod is let go all the same.
            cluster.restartAgent("wait before SAVE_COMMIT");
            cluster.awaitAgentWaiting();
            await("a snapshot that has the pod's manifest")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> snapshotsOf(cluster, uid).stream()
                            .anyMatch(snapshot -> snapshot.getStatus() != null
                                    && snapshot.getStatus().getManifestRevision() != null));
            cluster.controlPlane.suspendApiServer();
            cluster.letAgentGoOn();
            awaitEnd(pod);
            cluster.controlPlane.continueApiServer();
            await("it was resumed").atMost(StandInCluster.PATIENCE).until(() -> snapshotsOf(cluster, uid).stream()
                    .anyMatch(TerminationIT::wasResumed));
            StandInPod next = cluster.pod("db");
            assertThat(next.uid()).isNotEqualTo(uid);
            StandInCluster.awaitGoingOn(next, tick);

            // Away for longer than the pod has: as a kill.
            end(cluster, 20, "before SAVE_RECORD");
            cluster.controlPlane.suspendApiServer();
            cluster.letAgentGoOn();
            awaitEnd(next);
            cluster.controlPlane.continueApiServer();
            cluster.awaitPodGone("db");
            cluster.restartAgent("never");
            StandInPod booted = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            assertThat(booted.lastTick().orElseThrow().nonce()).isNotEqualTo(tick.nonce());
            await("half an image is none").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                    .noneMatch(file -> file.toString().endsWith(".img")));
            await("nothing is told of it").atMost(StandInCluster.PATIENCE).until(() -> saves(cluster)
                    .isEmpty());
        }
    }

    /** Deletes the VM's pod, and waits until the agent is at a step of its save. */
    private static void end(StandInCluster cluster, long graceSeconds, String step) throws Exception {
        cluster.restartAgent("wait " + step);
        cluster.awaitAgentServing(); // the pod's grace period is not for its start
        cluster.client
                .pods()
                .inNamespace(cluster.namespace)
                .withName("db")
                .withGracePeriod(graceSeconds)
                .delete();
        cluster.awaitAgentWaiting();
    }

    private static void awaitEnd(StandInPod pod) {
        await("its container ends")
                .atMost(StandInCluster.PATIENCE)
                .until(() -> pod.process().filter(Process::isAlive).isEmpty());
    }

    @Test
    void aPlainDeletionSavesNothingUnlessThePolicySaysSo() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("web", 192, 8, Optional.empty());
            String nonce = pod.lastTick().orElseThrow().nonce();
            cluster.deletePod("web");

            assertThat(cluster.imageFiles()).isEmpty();
            assertThat(cluster.client
                            .resources(VMSnapshot.class)
                            .inNamespace(cluster.namespace)
                            .list()
                            .getItems())
                    .isEmpty();
            StandInPod next = cluster.startVmWithHook("web", 192, 8, Optional.empty());
            assertThat(next.lastTick().orElseThrow().nonce()).isNotEqualTo(nonce);
        }
    }

    @Test
    void aQemuThatIsKilledBeforeTheImageIsCommittedIsLostAndTheNextPodBoots() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            String nonce = pod.lastTick().orElseThrow().nonce();
            cluster.restartAgent("before SAVE_WRITE");
            cluster.awaitAgentServing(); // the pod's grace period is not for its start
            cluster.client
                    .pods()
                    .inNamespace(cluster.namespace)
                    .withName("db")
                    .withGracePeriod(20)
                    .delete();
            cluster.awaitAgentDeath();
            cluster.awaitPodGone("db");
            cluster.restartAgent("never");

            StandInPod next = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            assertThat(next.lastTick().orElseThrow().nonce()).isNotEqualTo(nonce);
            await("half an image is none").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                    .noneMatch(file -> file.toString().endsWith(".img")));
            await("nothing is told of it any more")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> saves(cluster).isEmpty());
        }
    }

    @Test
    void aPodThatTheKubeletEndsAtAShutdownIsSavedThoughNothingIsSaidOfThePodBefore() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.empty());
            Tick tick = pod.lastTick().orElseThrow();
            cluster.shutDownByKubelet(60);
            await("the save in the NodeStore").atMost(StandInCluster.PATIENCE).until(() -> isSaved(cluster, pod.uid()));
            awaitEnd(pod);

            cluster.giveUpShutdownByKubelet();
            StandInPod next = await("another pod")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> cluster.pod("db"), found -> !found.uid().equals(pod.uid()));
            StandInCluster.awaitGoingOn(next, tick);
            assertThat(next.nonces()).containsExactly(tick.nonce());
        }
    }

    @Test
    void aPodThatOnlyPretendsToEndIsNotSaved() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            StandInPod pod = cluster.startVmWithHook("db", 192, 8, Optional.of(OnTermination.ManagedSave));
            Tick tick = pod.lastTick().orElseThrow();
            Process hook = new ProcessBuilder(
                            "/bin/busybox",
                            "sh",
                            pod.volume().resolve("bin/launch").toString(),
                            "--stop")
                    .inheritIO()
                    .start();

            assertThat(hook.waitFor()).isZero();
            assertThat(cluster.imageFiles()).isEmpty();
            StandInCluster.awaitGoingOn(pod, tick);
        }
    }

    /** Returns what the operator made of an agent's own saves of a pod. */
    private static List<VMSnapshot> snapshotsOf(StandInCluster cluster, String podUID) {
        return cluster.client.resources(VMSnapshot.class).inNamespace(cluster.namespace).list().getItems().stream()
                .filter(snapshot -> snapshot.adoptedImage()
                        .filter(image -> image.startsWith(podUID + "-"))
                        .isPresent())
                .toList();
    }

    private static boolean isSaved(StandInCluster cluster, String podUID) {
        return saves(cluster).stream()
                .anyMatch(save -> podUID.equals(save.podUID()) && Boolean.TRUE.equals(save.saved()));
    }

    private static boolean wasResumed(VMSnapshot snapshot) {
        return snapshot.getStatus() != null
                && snapshot.getStatus().getConsumedBy() != null
                && snapshot.getStatus().getConsumedBy().podName() != null;
    }

    private static List<TerminationSave> saves(StandInCluster cluster) {
        return cluster.client.resources(NodeStore.class).list().getItems().stream()
                .filter(store -> store.getStatus() != null)
                .flatMap(store -> store.getStatus().saves().stream())
                .toList();
    }
}
