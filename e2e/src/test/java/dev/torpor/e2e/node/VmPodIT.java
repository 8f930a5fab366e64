package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerCgroup;
import dev.torpor.e2e.cluster.ContainerImages;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** An ordinary QEMU pod plus one label: it boots, is saved, comes back, and kubectl shows what a person needs. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class VmPodIT {
    @Test
    void aBarePodIsSavedAndComesBackWhereItWas(Scene scene) throws IOException {
        Tick before = scene.start(VmManifest.of("web").memory(320, 128));
        kubectlShowsTheVm(scene);

        String addressBefore = scene.field("pod/web", ".status.podIP");
        long booted = vm(scene).fileBytes();
        scene.snapshot("web-saved", "web");
        scene.awaitReady("vmsnap/web-saved");
        assertThat(scene.tryKubectl("get", "pod", "web").output()).contains("NotFound");
        assertThat(scene.kubectl("get", "vmsnap", "-o", "wide"))
                .contains(
                        "web-saved",
                        "Ready",
                        "qemu-direct",
                        scene.cluster.node().name());
        assertThat(scene.kubectl("describe", "vmsnap", "web-saved")).contains("Image:", "Conditions:");

        scene.awaitVerified("vmsnap/web-saved");
        ContainerCgroup agent = agent(scene);
        long agentsBefore = agent.fileBytes();
        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        scene.awaitGoingOn("web", before);
        assertThat(scene.field("vmrest/web-back", ".status.strategy")).isEqualTo("Lazy");
        assertThat(scene.field("vmrest/web-back", ".status.savedPodIP"))
                .isNotEmpty()
                .isEqualTo(addressBefore);
        assertThat(scene.field("vmrest/web-back", ".status.podIP"))
                .isNotEmpty()
                .isEqualTo(scene.field("pod/web", ".status.podIP"));
        scene.awaitConsumed("vmsnap/web-saved");
        assertThat(scene.kubectl("describe", "vmrest", "web-back")).contains("Conditions:");

        await("all of the image is in memory").atMost(Scene.PATIENCE).until(() -> !scene.field(
                        "vmrest/web-back", ".status.residentSeconds")
                .isEmpty());
        theImagesPagesAreTheVms(scene, booted, agent, agentsBefore);
    }

    /** What is read ahead of the image is the VM's memory from then on, though the agent compares it. */
    @SuppressWarnings("SystemOut") // The figure is of use to people.
    private static void theImagesPagesAreTheVms(Scene scene, long booted, ContainerCgroup agent, long agentsBefore)
            throws IOException {
        long imageBytes = Long.parseLong(scene.field("vmsnap/web-saved", ".status.image.allocatedBytes"));
        long vmsBytes = vm(scene).fileBytes() - booted;
        long agentsBytes = agent.fileBytes() - agentsBefore;
        System.out.printf(
                "figure: pages of files after a lazy resume: VM's cgroup %d MiB more, agent's %d MiB more; image %d MiB%n",
                vmsBytes >> 20, agentsBytes >> 20, imageBytes >> 20);
        assertThat(vmsBytes).isGreaterThan(imageBytes / 2);
        assertThat(agentsBytes).isLessThan(imageBytes / 8);
    }

    private static ContainerCgroup vm(Scene scene) throws IOException {
        ContainerCgroup vm = scene.cluster.node().cgroupOf(scene.field("pod/web", ".metadata.uid"));
        assertThat(vm.runs("qemu-system-x86")).isTrue();
        return vm;
    }

    private static ContainerCgroup agent(Scene scene) throws IOException {
        return scene.cluster
                .node()
                .cgroupOf(scene.kubectl.run(
                        "get",
                        "pod",
                        scene.torpor.pods("agent").getFirst(),
                        "-n",
                        InstalledTorpor.NAMESPACE,
                        "-o",
                        "jsonpath={.metadata.uid}"));
    }

    @Test
    void aCompressedVmComesBackWhereItWas(Scene scene) {
        Tick before = scene.start(VmManifest.of("web").memory(256, 32));
        scene.snapshot("web-saved", "web", "parallel: {channels: 3, compression: Zstd}");
        scene.awaitReady("vmsnap/web-saved");
        assertThat(scene.field("vmsnap/web-saved", ".status.engine")).isEqualTo("multifd-stream");
        assertThat(scene.field("vmsnap/web-saved", ".status.channels")).isEqualTo("3");
        assertThat(scene.field("vmsnap/web-saved", ".status.compression")).isEqualTo("Zstd");

        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        assertThat(scene.field("vmrest/web-back", ".status.strategy")).isEqualTo("Eager");
        scene.awaitGoingOn("web", before);
        scene.awaitConsumed("vmsnap/web-saved");
    }

    /** That of Debian 12, which cannot write images itself. */
    @Test
    void aVmOfAnOlderQemuIsRecordedAndComesBackWhereItWas(Scene scene) {
        scene.cluster.node().load(ContainerImages.vmOf("7.2"));
        Tick before = scene.start(VmManifest.of("old").qemu("7.2").memory(192, 32));
        scene.snapshot("old-saved", "old");
        scene.awaitReady("vmsnap/old-saved");
        assertThat(scene.field("vmsnap/old-saved", ".status.engine")).isEqualTo("multifd-stream");
        assertThat(scene.field("vmsnap/old-saved", ".status.compression")).isEmpty();

        scene.restore("old-back", "old-saved");
        scene.awaitReady("vmrest/old-back");
        assertThat(scene.field("vmrest/old-back", ".status.strategy")).isEqualTo("Eager");
        scene.awaitGoingOn("old", before);
        scene.awaitConsumed("vmsnap/old-saved");
    }

    private static void kubectlShowsTheVm(Scene scene) {
        assertThat(scene.kubectl("logs", "web")).contains("torpor: asking the agent of this node", "torpor: starting ");
        assertThat(scene.kubectl("exec", "web", "--", "ls", "/run/torpor")).contains("qmp.sock", "bin");
        assertThat(scene.kubectl("describe", "pod", "web")).contains("torpor-launcher", "Started container qemu");
        assertThat(scene.cluster
                        .node()
                        .kubeletRoot()
                        .resolve("pods")
                        .resolve(scene.field("pod/web", ".metadata.uid"))
                        .resolve("volumes/kubernetes.io~empty-dir/torpor/qmp.sock")
                        .toString())
                .as("as long as in the field: longer than a socket's address may be")
                .hasSizeGreaterThan(108);
    }

    @Test
    void aStatefulSetsVmIsCheckpointedAndNotStopped(Scene scene) {
        scene.apply(VmManifest.of("db").statefulSet());
        Tick before = scene.awaitTick("db-0");

        scene.snapshot("db-stop", "db");
        assertThat(scene.awaitFailure("vmsnap/db-stop")).startsWith("ControllerWouldRecreate: ");

        scene.snapshot("db-checkpoint", "db", "mode: Checkpoint");
        scene.awaitReady("vmsnap/db-checkpoint");
        Tick atCheckpoint = scene.awaitTick("db-0");
        scene.awaitGoingOn("db-0", atCheckpoint);
        assertThat(atCheckpoint.nonce()).isEqualTo(before.nonce());
    }

    @Test
    void aVolumeInMemoryOfALaterPodReachesTheAgent(Scene scene) {
        // A tmpfs is a mount of the node, made after the agent's container: it is seen by propagation only.
        Tick before =
                scene.start(VmManifest.of("tmp").podSpec("volumes:", "- {name: torpor, emptyDir: {medium: Memory}}"));
        scene.snapshot("tmp-checkpoint", "tmp", "mode: Checkpoint");
        scene.awaitReady("vmsnap/tmp-checkpoint");
        scene.awaitGoingOn("tmp", before);
    }
}
