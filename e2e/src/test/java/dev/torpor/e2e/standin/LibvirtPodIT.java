package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.LibvirtExample;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.tree.WorkTree;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A pod in which a real libvirt starts QEMU ({@code examples/libvirt/vm-pod.yaml}): it does what the agent answers the launcher,
 * the VM is saved and restored like any other, and libvirt follows.
 */
@Tag("standin")
@SuppressWarnings("NullAway.Init")
class LibvirtPodIT {
    // A container has files of its own there; this one shares the machine's.
    private static final String CONTAINER = """
            #!/bin/sh
            set -e
            for folder in etc var; do
              mkdir -p /run/own/$folder/upper /run/own/$folder/work
              mount -t overlay overlay \\
                -o lowerdir=/$folder,upperdir=/run/own/$folder/upper,workdir=/run/own/$folder/work /$folder
            done
            PATH=LIBVIRT:/usr/sbin:/usr/bin:/sbin:/bin exec "$@"
            """;

    @TempDir
    private static Path temp;

    private static Path virsh;
    private static Path container;
    private static Path startDomain;
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        virsh = Path.of(WorkTree.run("tools/libvirt.sh"));
        cluster = StandInCluster.withWebhook();
        container = temp.resolve("container");
        Files.writeString(
                container,
                CONTAINER.replace("LIBVIRT", requireNonNull(virsh.getParent()).toString()));
        startDomain = Files.writeString(
                temp.resolve("start-domain"),
                LibvirtExample.read(cluster.client).startDomain());
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void aSavedDomainComesBackByItsRestoreAndLibvirtFollows() throws Exception {
        StandInPod pod = startDomain("web");
        assertThat(virsh(pod, "domstate", "web")).isEqualTo("running");
        cluster.snapshot("web-saved", "web", "parallel: {channels: 2}");
        VMSnapshot saved = cluster.awaitReady("web-saved");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(saved.getStatus().getEngine()).isEqualTo("qemu-direct");
        cluster.awaitPodGone("web");

        cluster.restore("web-back", "web-saved");
        var back = cluster.awaitRunning("web-back");
        assertThat(back.getStatus().getStrategy()).isEqualTo("Eager");
        StandInPod again = cluster.pod("web");
        StandInCluster.awaitGoingOn(again, last);
        assertThat(again.nonces()).containsExactly(last.nonce());
        assertLibvirtFollows(again, "web");
        cluster.awaitSnapshot("web-saved", status -> "Consumed".equals(String.valueOf(status.getPhase())));
    }

    @Test
    void aManagedSaveOfRecordedChannelsIsResumedByTheNextPod() throws Exception {
        StandInPod pod = startDomain("db");
        cluster.snapshot(
                "db-saved",
                "db",
                "mode: ManagedSave",
                "parallel: {channels: 3, compression: Zstd, compressionLevel: 1}");
        cluster.awaitRunning("db-saved-start-1");
        Tick last = pod.lastTick().orElseThrow();
        assertThat(cluster.snapshot("db-saved").getStatus().getEngine()).isEqualTo("multifd-stream");
        StandInPod again = cluster.pod("db");
        assertThat(again.uid()).isNotEqualTo(pod.uid());
        StandInCluster.awaitGoingOn(again, last);
        assertThat(again.nonces()).containsExactly(last.nonce());
        assertLibvirtFollows(again, "db");
    }

    @Test
    void aCheckpointIsAPauseThatLibvirtSeesTheEndOf() throws Exception {
        StandInPod pod = startDomain("check");
        cluster.snapshot("check-point", "check", "mode: Checkpoint");
        cluster.awaitReady("check-point");
        Tick now = pod.lastTick().orElseThrow();
        StandInCluster.awaitGoingOn(pod, now);
        assertLibvirtFollows(pod, "check");
    }

    @Test
    void aDomainThatIsDestroyedBootsAgainInItsPod() throws Exception {
        StandInPod pod = startDomain("crash");
        Tick first = pod.lastTick().orElseThrow();
        virsh(pod, "destroy", "crash");
        Tick second = pod.awaitTick(tick -> !tick.nonce().equals(first.nonce()));
        assertThat(pod.nonces()).containsExactly(first.nonce(), second.nonce());
        assertThat(pod.asks()).isEqualTo(2);
        assertThat(virsh(pod, "domstate", "crash")).isEqualTo("running");
    }

    /** What libvirt says of the domain, and that it still has it in hand. */
    private static void assertLibvirtFollows(StandInPod pod, String name) throws IOException {
        await("libvirt").atMost(StandInCluster.PATIENCE).until(() -> virsh(pod, "domstate", name)
                .equals("running"));
        assertThat(virsh(pod, "suspend", name)).contains("suspended");
        assertThat(virsh(pod, "domstate", name)).isEqualTo("paused");
        assertThat(virsh(pod, "resume", name)).contains("resumed");
        StandInCluster.awaitGoingOn(pod, pod.lastTick().orElseThrow());
        assertThat(virsh(pod, "domstate", name)).isEqualTo("running");
    }

    private static String virsh(StandInPod pod, String... command) {
        List<String> all = new ArrayList<>(List.of(
                "nsenter", "-t", Long.toString(pod.process().orElseThrow().pid()), "--mount", "--", virsh.toString()));
        all.addAll(List.of(command));
        return Command.run(all.toArray(String[]::new)).strip();
    }

    private static StandInPod startDomain(String name) throws IOException {
        Path definition = Files.writeString(
                temp.resolve(name + ".xml"), LibvirtExample.definition(name, GuestImage.get(), LibvirtExample.CONSOLE));
        cluster.createPod(
                name,
                List.of("/bin/sh", container.toString(), "/bin/sh", startDomain.toString()),
                List.of(definition.toString()));
        StandInPod pod = cluster.pod(name);
        pod.awaitTick(tick -> tick.number() >= 2);
        return pod;
    }
}
