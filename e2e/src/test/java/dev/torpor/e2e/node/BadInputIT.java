package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What cannot be done is refused in words that a person reads in kubectl, and no VM or image comes to harm. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class BadInputIT {
    @Test
    void podsThatCannotBeVmsAreDenied(Scene scene) {
        assertThat(scene.applyRefused(VmManifest.of("mute").pod().replaceAll("(?m)^ *command:.*\n", "")))
                .contains("admission webhook", "denied the request", "names no command");
        assertThat(scene.applyRefused("""
                apiVersion: v1
                kind: Pod
                metadata: {name: job, labels: {torpor.dev/vm: job}}
                spec:
                  restartPolicy: Never
                  containers: [{name: qemu, image: "torpor-vm:local", command: [qemu-system-x86_64]}]
                """)).contains("restartPolicy Never");
    }

    @Test
    void aSecondLivePodOfAVmIsDenied(Scene scene) {
        scene.start(VmManifest.of("web"));
        String twin = VmManifest.of("web").pod().replace("name: web\n", "name: twin\n");
        assertThat(scene.applyRefused(twin)).contains("has a live pod already: web");
    }

    @Test
    void badSnapshotsAreRefused(Scene scene) {
        assertThat(scene.applyRefused(Scene.custom("VMSnapshot", "many", "vmName: web", "parallel: {channels: 256}")))
                .contains("spec.parallel.channels", "less than or equal to 255");
        scene.snapshot("nobody", "nobody");
        assertThat(scene.awaitTrouble("vmsnap/nobody", "VMNotFound")).contains("torpor.dev/vm=nobody", "Start the VM");
    }

    @Test
    void badRestoresAreRefused(Scene scene) throws IOException {
        scene.start(VmManifest.of("web"));
        scene.snapshot("saved", "web", "mode: Checkpoint");
        scene.awaitReady("vmsnap/saved");
        scene.restore("too-early", "saved", "disks: Ephemeral");
        assertThat(scene.awaitFailure("vmrest/too-early")).startsWith("VMRunning: ");

        scene.kubectl("delete", "pod", "web", "--timeout=60s");
        Path image = scene.torpor.store().resolve(scene.field("vmsnap/saved", ".status.image.path"));
        Files.delete(image);
        scene.restore("gone", "saved", "disks: Ephemeral");
        assertThat(scene.awaitFailure("vmrest/gone")).startsWith("ImageMissing: ");
        assertThat(scene.tryKubectl("get", "pod", "web").output()).contains("NotFound");
    }
}
