package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.ImageStatus;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The straight line: save, pod gone, restore, the same guest goes on. */
@Tag("standin")
class SaveAndRestoreIT {
    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void savedVmComesBackWhereItWas() throws Exception {
        StandInPod pod = cluster.startVm("web", 256, 32);
        cluster.snapshot("web-saved", "web", "parallel: {channels: 2}");
        VMSnapshot saved = cluster.awaitReady("web-saved");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(saved.getStatus().getChannels()).isEqualTo(2);
        assertThat(saved.getStatus().getEngine()).isEqualTo("qemu-direct");
        ImageStatus image = requireNonNull(saved.getStatus().getImage());
        assertThat(image.sizeBytes()).isGreaterThan(32 << 20);
        assertThat(requireNonNull(saved.getStatus().getVm()).wasRunning()).isTrue();
        assertThat(cluster.client
                        .pods()
                        .inNamespace(cluster.namespace)
                        .withName("web")
                        .get())
                .isNull();

        cluster.restore("web-back", "web-saved");
        VMRestore back = cluster.awaitRunning("web-back");
        assertThat(back.getStatus().getStrategy()).isEqualTo("Eager");
        assertThat(back.getStatus().getStrategyReason()).startsWith("the folder of the VM's images is not mounted");
        StandInPod again = cluster.pod("web");
        assertThat(again.uid()).isNotEqualTo(pod.uid());
        Tick now = StandInCluster.awaitGoingOn(again, last);
        assertThat(now.number()).isLessThan(last.number() + 60);
        cluster.awaitSnapshot("web-saved", status -> "Consumed".equals(String.valueOf(status.getPhase())));
        // The operator says so as soon as the VM is back; the agent removes the file then.
        Path file = cluster.store().resolve(requireNonNull(image.path()));
        await("the image's file is gone").atMost(StandInCluster.PATIENCE).until(() -> !Files.exists(file));
        assertThat(cluster.steps())
                .containsSubsequence("after SAVE_COMMIT", "after SAVE_RETIRE", "before SAVE_PUBLISH");
    }
}
