package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.LibvirtImport;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.SavedByLibvirt;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What a real libvirt saved goes on in a pod: imported beside the agent at work, the VM's first pod is given it. */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class LibvirtImportIT {
    private static final int MEMORY_MIB = 160;
    private static final int FILL_MIB = 8;

    @TempDir
    private static Path temp;

    private static SavedByLibvirt saved;
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        saved = SavedByLibvirt.make(temp, MEMORY_MIB, FILL_MIB, "zstd", "sparse");
        cluster = StandInCluster.withWebhook();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    /** Imports as the command does, and returns the name of the VMSnapshot that is to come. */
    private static String load(String format, String vm) throws Exception {
        ImageId id = new ImageId(cluster.namespace, vm, UUID.randomUUID().toString());
        try (ImageStore store = ImageStore.openReadOnly(cluster.store())) {
            var _ = LibvirtImport.run(store, id, saved.file(format), 0, (_, _) -> {});
        }
        return vm + "-" + id.uid().substring(0, 8);
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "zstd", "sparse"})
    void theVmsFirstPodGoesOnWhereLibvirtSavedIt(String format) throws Exception {
        String vm = "lv-" + format;
        String name = load(format, vm);
        VMSnapshot waiting = cluster.awaitReady(name);
        assertThat(waiting.getStatus().getEngine()).isEqualTo("libvirt");
        assertThat(requireNonNull(waiting.getStatus().getVm()).memoryBytes()).isEqualTo((long) MEMORY_MIB << 20);

        cluster.createVm(vm, MEMORY_MIB, FILL_MIB, "-uuid", SavedByLibvirt.UUID);
        cluster.awaitRunning(name + "-start-1");
        StandInPod pod = cluster.pod(vm);
        StandInCluster.awaitGoingOn(pod, saved.last());
        assertThat(pod.nonces()).containsExactly(saved.last().nonce());
        cluster.awaitSnapshot(name, status -> "Consumed".equals(String.valueOf(status.getPhase())));
        assertThat(Files.exists(saved.file(format))).isTrue();
    }

    @Test
    void aPodThatIsAnotherMachineIsNotFedAndDoesNotBoot() throws Exception {
        String name = load("raw", "other");
        cluster.awaitReady(name);
        cluster.createVm("other", MEMORY_MIB, FILL_MIB);
        var refused = cluster.awaitRestoreFailure(name + "-start-1");
        assertThat(requireNonNull(refused.getStatus().getFailure()).reason()).isEqualTo("UUIDMismatch");
        // Its pod is ended. Nobody makes a bare one again of which no image knows; another would be held.
        cluster.awaitPodGone("other");
        // The image is as good as before.
        assertThat(cluster.snapshot(name).getStatus().getConsumedBy()).isNull();
    }
}
