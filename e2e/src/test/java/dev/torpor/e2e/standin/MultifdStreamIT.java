package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.CompressionMethod;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
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
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void aCompressedVmComesBackWhereItWas() throws Exception {
        StandInPod pod = cluster.startVm("web", 60L);
        cluster.snapshot("web-saved", "web", "parallel: {channels: 3, compression: Zstd, compressionLevel: 2}");
        VMSnapshot saved = cluster.awaitReady("web-saved");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(saved.getStatus().getEngine()).isEqualTo("multifd-stream");
        assertThat(saved.getStatus().getChannels()).isEqualTo(3);
        assertThat(saved.getStatus().getCompression()).isEqualTo(CompressionMethod.Zstd);
        assertThat(requireNonNull(saved.getStatus().getImage()).formatVersion()).isEqualTo(2);

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
        cluster.controlPlane.kubectl().runWithInput("""
                        {"apiVersion": "torpor.dev/v1alpha1", "kind": "VMSnapshotClass", "metadata": {"name": "streams"},
                         "spec": {"engine": "MultifdStream", "parallel": {"channels": 2}}}
                        """, "apply", "-f", "-");
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

    @Test
    void aLazyResumeOfItIsRefusedWithTheReason() throws Exception {
        cluster.startVm("lazy", 60L);
        cluster.snapshot("lazy-saved", "lazy", "parallel: {compression: Zlib}");
        cluster.awaitReady("lazy-saved");
        cluster.restore("lazy-back", "lazy-saved", "strategy: Lazy");
        VMRestore refused = cluster.awaitRestoreFailure("lazy-back");
        assertThat(requireNonNull(refused.getStatus().getFailure()).reason()).isEqualTo("LazyNotPossible");
        assertThat(refused.getStatus().getFailure().message())
                .contains("the image holds streams of QEMU's channels, which are read from end to end");
        // The image is as good as before.
        assertThat(cluster.awaitReady("lazy-saved").getStatus().getImage()).isNotNull();
    }
}
