package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The operator dies by SIGKILL at its steps, and another follows: each VM gets its memory back, once, and never boots. All other
 * steps and stories are in {@code OperatorDeathTest} of the operator, in one process, where nothing else is real.
 */
@Tag("standin")
class OperatorDeathIT {
    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private StandInPod pod;

    @SuppressWarnings("NullAway.Init")
    private Tick last;

    @BeforeAll
    static void start() throws Exception {
        cluster = StandInCluster.withWebhook();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @BeforeEach
    void vm() throws Exception {
        pod = cluster.startVmOn(StandInCluster.NODE, "web");
        last = pod.lastTick().orElseThrow();
    }

    @AfterEach
    void clean() {
        cluster.controlPlane.kubectl("uncordon", StandInCluster.NODE);
        cluster.controlPlane.kubectl(
                "delete", "vmrestores,vmsnapshots", "--all", "-n", cluster.namespace, "--timeout=120s");
        cluster.deletePod("web");
    }

    // Just after one step is just before the next where nothing is done in between.
    @ParameterizedTest
    @ValueSource(
            strings = {
                "before SNAPSHOT_ADD_FINALIZER",
                "after SNAPSHOT_ADD_FINALIZER",
                "after SNAPSHOT_RECORD_MANIFEST",
                "after SNAPSHOT_PUBLISH",
                "before SNAPSHOT_DELETE_POD",
                "after SNAPSHOT_DELETE_POD",
                "before SNAPSHOT_CREATE_POD",
                "after SNAPSHOT_CREATE_POD",
                "before SNAPSHOT_START",
                "after SNAPSHOT_START",
                "after RESTORE_PUBLISH",
                "before RESTORE_GIVE_POD",
                "after RESTORE_GIVE_POD"
            })
    void aManagedSaveIsFinishedAndResumedByTheNextOperator(String place) throws Exception {
        cluster.letOperatorDieAt(place);
        cluster.snapshot("saved", "web", "mode: ManagedSave");
        cluster.awaitOperatorDeathAndStartAnother();

        cluster.awaitRunning("saved-start-1");
        requireSameGuestAndNoImage();
    }

    @ParameterizedTest
    @ValueSource(strings = {"before RESTORE_CREATE_POD", "after RESTORE_CREATE_POD"})
    void aRestoreIsFinishedByTheNextOperator(String place) throws Exception {
        cluster.snapshot("saved", "web");
        cluster.awaitReady("saved");

        cluster.letOperatorDieAt(place);
        cluster.restore("back", "saved");
        cluster.awaitOperatorDeathAndStartAnother();

        cluster.awaitRunning("back");
        requireSameGuestAndNoImage();
    }

    @ParameterizedTest
    @ValueSource(strings = {"before DRAIN_BEGIN", "after DRAIN_BEGIN"})
    void aDrainSavesItsVmThoughTheOperatorDiesWhenItBegins(String place) throws Exception {
        cluster.controlPlane.kubectl("cordon", StandInCluster.NODE);
        cluster.letOperatorDieAt(place);
        cluster.evict("web");
        cluster.awaitOperatorDeathAndStartAnother();
        await("the VM is held").atMost(StandInCluster.PATIENCE).until(() -> {
            cluster.evict("web");
            return cluster.gates("web").equals(List.of(Torpor.SAVED_GATE));
        });
        cluster.controlPlane.kubectl("uncordon", StandInCluster.NODE);

        requireSameGuestAndNoImage();
    }

    private void requireSameGuestAndNoImage() throws Exception {
        StandInPod next = cluster.pod("web");
        StandInCluster.awaitGoingOn(next, last);
        assertThat(next.nonces()).as("guests of the pod that goes on").containsExactly(last.nonce());
        assertThat(pod.nonces()).as("guests of the pod that was saved").containsExactly(last.nonce());
        await("no image").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                .noneMatch(file -> file.toString().endsWith(".img")));
    }
}
