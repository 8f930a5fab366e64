package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The agent works with little more than a common container may do, and VMs may have less than that. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class LeastPrivilegeIT {
    private static final String[] NOT_ROOT = {
        "securityContext: {runAsUser: 107, runAsGroup: 107, runAsNonRoot: true, fsGroup: 107,"
                + " seccompProfile: {type: RuntimeDefault}}"
    };
    private static final String[] NO_RIGHTS = {
        "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
    };

    @Test
    void theAgentIsNotPrivileged(Scene scene) {
        String context = scene.kubectl.run(
                "get",
                "pods",
                "-n",
                InstalledTorpor.NAMESPACE,
                "-l",
                "app.kubernetes.io/name=torpor-agent",
                "-o",
                "jsonpath={.items[*].spec.containers[*].securityContext}");
        assertThat(context).contains("\"privileged\":false", "\"drop\":[\"ALL\"]", "\"readOnlyRootFilesystem\":true");
    }

    @Test
    void aQemuThatIsNotRootIsSavedAndComesBack(Scene scene) {
        savesAndRestores(scene, VmManifest.of("web").podSpec(NOT_ROOT));
        assertThat(scene.field("vmrest/back", ".status.strategy")).isEqualTo("Lazy");
    }

    @Test
    void aRestrictedNamespaceMayHaveVms(Scene scene) {
        scene.kubectl.run("label", "namespace", scene.namespace, "pod-security.kubernetes.io/enforce=restricted");
        savesAndRestores(scene, VmManifest.of("web").podSpec(NOT_ROOT).containerSpec(NO_RIGHTS));
        assertThat(scene.field("vmrest/back", ".status.strategy")).isEqualTo("Eager");
        assertThat(scene.field("vmrest/back", ".status.strategyReason"))
                .isEqualTo("the folder of the VM's images is not mounted in the pod, at /run/torpor-images");
    }

    private static void savesAndRestores(Scene scene, VmManifest vm) {
        Tick before = scene.start(vm);
        assertThat(scene.kubectl("exec", vm.name(), "-c", "qemu", "--", "id", "-u")
                        .strip())
                .isEqualTo("107");
        scene.snapshot("saved", vm.name());
        scene.awaitVerified("vmsnap/saved");
        scene.restore("back", "saved");
        scene.awaitReady("vmrest/back");
        scene.awaitGoingOn(vm.name(), before);
    }
}
