package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.CompressionMethod;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.tree.WorkTree;
import dev.torpor.failure.FailureReason;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** What is done with an image that QEMU wrote is done with one of its streams as well, but for lazy resumes. */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class MultifdStreamIT {
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
        cluster.controlPlane.kubectl().runWithInput("""
                        apiVersion: torpor.dev/v1alpha1
                        kind: VMSnapshotClass
                        metadata: {name: streams}
                        spec: {engine: MultifdStream, parallel: {channels: 2}}
                        ---
                        apiVersion: torpor.dev/v1alpha1
                        kind: VMSnapshotClass
                        metadata: {name: slow-streams}
                        spec: {engine: MultifdStream, bandwidthBytesPerSecond: 4000000}
                        """, "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void aCompressedVmComesBackWhereItWasThoughNotLazily() throws Exception {
        StandInPod pod = cluster.startVm("web", 60L);
        cluster.snapshot("web-saved", "web", "parallel: {channels: 3, compression: Zstd, compressionLevel: 2}");
        VMSnapshot saved = cluster.awaitReady("web-saved");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        assertThat(saved.getStatus().getChannels()).isEqualTo(3);
        assertThat(saved.getStatus().getCompression()).isEqualTo(CompressionMethod.Zstd);
        assertThat(requireNonNull(saved.getStatus().getImage()).formatVersion()).isEqualTo(2);

        cluster.restore("web-lazy", "web-saved", "strategy: Lazy");
        VMRestore refused = cluster.awaitRestoreFailure("web-lazy");
        assertThat(requireNonNull(refused.getStatus().getFailure()).reason()).isEqualTo("LazyNotPossible");
        assertThat(refused.getStatus().getFailure().message())
                .contains("the image holds streams of QEMU's channels, which are read from end to end");
        // The image is as good as before.
        assertThat(cluster.awaitReady("web-saved").getStatus().getImage()).isNotNull();

        cluster.restore("web-back", "web-saved", "strategy: Auto");
        VMRestore back = cluster.awaitRunning("web-back");
        assertThat(back.getStatus().getStrategy()).isEqualTo("Eager");
        assertThat(back.getStatus().getStrategyReason())
                .isEqualTo("the image holds streams of QEMU's channels, which are read from end to end");
        StandInCluster.awaitGoingOn(cluster.pod("web"), last);
        cluster.awaitSnapshot("web-saved", status -> "Consumed".equals(String.valueOf(status.getPhase())));
    }

    @Test
    void aManagedSaveByItsClassIsResumed() throws Exception {
        StandInPod pod = cluster.startVm("db", 60L);
        cluster.snapshot("db-saved", "db", "mode: ManagedSave", "className: streams");
        cluster.awaitRunning("db-saved-start-1");
        Tick last = pod.lastTick().orElseThrow();
        VMSnapshot saved = cluster.snapshot("db-saved");
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        assertThat(saved.getStatus().getCompression()).isNull();
        StandInPod again = cluster.pod("db");
        assertThat(again.uid()).isNotEqualTo(pod.uid());
        StandInCluster.awaitGoingOn(again, last);
    }

    /** Nobody names a class then, and the agent asks nobody. */
    @Test
    void aVmWhosePodEndsIsSavedAsTheDefaultClassSays() throws Exception {
        String isDefault = Torpor.DEFAULT_CLASS_ANNOTATION;
        cluster.controlPlane.kubectl("annotate", "vmsnapshotclass", "streams", isDefault + "=true");
        try {
            StandInPod pod = cluster.startVm("ending", 60L);
            cluster.controlPlane.kubectl(
                    "annotate",
                    "pod",
                    "ending",
                    "-n",
                    cluster.namespace,
                    Torpor.ON_TERMINATION_ANNOTATION + "=ManagedSave");
            cluster.deletePod("ending");
            VMSnapshot saved = await("the image's VMSnapshot")
                    .atMost(StandInCluster.PATIENCE)
                    .until(
                            () -> cluster
                                    .client
                                    .resources(VMSnapshot.class)
                                    .inNamespace(cluster.namespace)
                                    .list()
                                    .getItems()
                                    .stream()
                                    .filter(snapshot ->
                                            snapshot.getSpec().vmName().equals("ending")
                                                    && snapshot.getStatus() != null
                                                    && snapshot.getStatus().getEngine() != null)
                                    .findFirst(),
                            Optional::isPresent)
                    .orElseThrow();
            Tick last = pod.lastTick().orElseThrow();
            assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
            assertThat(saved.getStatus().getChannels()).isEqualTo(2);
            StandInPod again = cluster.pod("ending"); // made again, as a bare pod is
            StandInCluster.awaitGoingOn(again, last);
        } finally {
            cluster.controlPlane.kubectl("annotate", "vmsnapshotclass", "streams", isDefault + "-");
        }
    }

    /** Noticed while QEMU is fed: as good as a scan's finding, and taken back by a scan. */
    @Test
    void anImageThatIsFoundDamagedByItsLoadIsNotReadyUntilItIsPutBack() throws Exception {
        StandInPod pod = cluster.startVm("flips", 5L);
        cluster.snapshot("flips-saved", "flips", "className: streams");
        VMSnapshot saved = cluster.awaitVerified("flips-saved");
        Tick last = pod.lastTick().orElseThrow();
        Path file = cluster.store()
                .resolve(requireNonNull(saved.getStatus().getImage()).path());
        ChannelLayout layout = CommittedImage.open(file).layout().channels().orElseThrow();
        long at = layout.offsetBytes(1, layout.units(1) / 2);
        flip(file, at + 1000);

        cluster.restore("flips-back", "flips-saved");
        String why = "the image is damaged: the checksum of channel 1 at offset " + at
                + " is [0-9a-f]{8}, and [0-9a-f]{8} was committed\\. The image cannot be restored\\.";
        Ends.restoreFails(
                cluster,
                "flips-back",
                FailureReason.ImageDamaged,
                "VMRestore " + cluster.namespace + "/flips-back: " + why);
        VMSnapshot damaged = cluster.awaitSnapshot("flips-saved", status -> FailureReason.ImageDamaged.name()
                .equals(Conditions.reason(status.getConditions(), ConditionType.READY)));
        for (String type : List.of(ConditionType.READY, ConditionType.VERIFIED)) {
            Ends.assertCondition(
                    damaged.getStatus().getConditions(),
                    type,
                    "False",
                    FailureReason.ImageDamaged,
                    why + " Put its file back .*");
        }

        flip(file, at + 1000);
        cluster.controlPlane.kubectl(
                "annotate", "vmsnapshot", "flips-saved", "-n", cluster.namespace, Torpor.VERIFY_ANNOTATION + "=back");
        cluster.awaitVerified("flips-saved");
        cluster.restore("flips-again", "flips-saved");
        cluster.awaitRunning("flips-again");
        StandInCluster.awaitGoingOn(cluster.pod("flips"), last);
    }

    private static void flip(Path file, long at) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            channel.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 1)}), at);
            channel.force(false);
        }
    }

    /** QEMU 7.2 cannot write images itself: nobody asks for an engine, and this one is chosen. */
    @Test
    void aVmOnAnOldQemuIsSavedAndComesBackAgainAndAgain() throws Exception {
        StandInPod pod = cluster.startVmOf(WorkTree.run("tools/qemu.sh", "7.2"), "old");
        cluster.snapshot("old-saved", "old");
        VMSnapshot saved = cluster.awaitReady("old-saved");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(requireNonNull(saved.getStatus().getVm()).qemuVersion()).startsWith("7.2");
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        assertThat(saved.getStatus().getCompression()).isNull();
        cluster.restore("old-back", "old-saved");
        assertThat(cluster.awaitRunning("old-back").getStatus().getStrategy()).isEqualTo("Eager");
        StandInPod second = cluster.pod("old");
        Tick then = StandInCluster.awaitGoingOn(second, last);

        // The same QEMU, which was loaded, saves; another one starts from that by itself.
        cluster.snapshot(
                "old-managed", "old", "mode: ManagedSave", "parallel: {compression: Zlib, compressionLevel: 9}");
        cluster.awaitRunning("old-managed-start-1");
        VMSnapshot managed = cluster.snapshot("old-managed");
        assertThat(managed.getStatus().getCompression()).isEqualTo(CompressionMethod.Zlib);
        StandInPod third = cluster.pod("old");
        assertThat(third.uid()).isNotEqualTo(second.uid());
        StandInCluster.awaitGoingOn(third, then);
        assertThat(third.nonces()).containsExactly(last.nonce());
    }

    /** Where this engine does something else than the other: around what is recorded and played. */
    @Test
    void anAgentThatDiesAroundTheStreamsIsFollowedByOneThatFinishes() throws Exception {
        StandInPod pod = cluster.startVm("dies", 60L);
        Tick tick = pod.lastTick().orElseThrow();
        for (String place : List.of("before", "after")) {
            cluster.restartAgent(place + " SAVE_WRITE");
            cluster.snapshot("dies-" + place, "dies", "className: streams");
            cluster.awaitAgentDeath();
            cluster.restartAgent(place + " RESTORE_LOAD");
            VMSnapshot saved = cluster.awaitReady("dies-" + place);
            assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
            cluster.restore("dies-" + place, "dies-" + place);
            cluster.awaitAgentDeath();
            cluster.restartAgent("never");
            cluster.awaitRunning("dies-" + place);
            pod = cluster.pod("dies");
            tick = StandInCluster.awaitGoingOn(pod, tick);
            assertThat(pod.nonces()).containsExactly(tick.nonce());
        }
    }

    /** The one that follows has QEMU give up a save whose streams nobody takes any more, and saves. */
    @Test
    void anAgentOrAQemuThatDiesInTheMiddleOfASaveLeavesNoImage() throws Exception {
        StandInPod pod = cluster.startVm("ends", 60L);
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("ends-agent", "ends", "className: slow-streams", "mode: Checkpoint");
        awaitProgress("ends-agent");
        cluster.restartAgent("never");
        VMSnapshot saved = cluster.awaitReady("ends-agent");
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        before = StandInCluster.awaitGoingOn(pod, before);
        assertThat(pod.starts()).isEqualTo(1);

        String nonce = before.nonce();
        cluster.snapshot("ends-qemu", "ends", "className: slow-streams");
        awaitProgress("ends-qemu");
        pod.killContainer();
        VMSnapshot failed = cluster.awaitFailure("ends-qemu");
        assertThat(requireNonNull(failed.getStatus().getFailure()).reason()).isEqualTo("QEMUGone");
        pod.awaitTick(next -> !next.nonce().equals(nonce)); // nothing holds it
        await().atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                .noneMatch(file -> file.toString().contains(failed.getMetadata().getUid())));
    }

    private static void awaitProgress(String name) {
        cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && requireNonNull(status.getProgress().percent()) > 0);
    }
}
