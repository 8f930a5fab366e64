package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.guest.Tick;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Liveness probes that ask the guest, which does not answer while it is paused for a save. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class ProbesIT {
    /** Some fifteen seconds for the guests of these tests. */
    private static final String SLOW = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshotClass
            metadata: {name: slow-probes}
            spec: {bandwidthBytesPerSecond: 6291456}
            """;

    @Test
    void aProbeThatBearsThePauseFailsInItAndNobodyIsHurt(Scene scene) {
        scene.apply(SLOW);
        // Far more than the pause: a probe that a busy machine does not get to run in its second has failed as well.
        assertThat(scene.apply(probed("web", 90))).doesNotContain("liveness probe");
        Tick before = scene.awaitTick("web");

        scene.snapshot("web-saved", "web", "mode: Checkpoint", "className: slow-probes");
        scene.awaitReady("vmsnap/web-saved");
        scene.awaitGoingOn("web", before);

        await("failures of the probe, or nothing was tried")
                .atMost(Scene.PATIENCE)
                .untilAsserted(() -> assertThat(scene.kubectl(
                                "get", "events", "--field-selector=involvedObject.name=web,reason=Unhealthy"))
                        .contains("Liveness probe failed"));
        assertThat(restarts(scene, "web")).isEqualTo("0");
    }

    @Test
    void aProbeThatDoesNotBearThePauseIsWarnedOfAndNoImageIsTakenForTheMemoryOfAVmThatItKilled(Scene scene) {
        scene.apply(SLOW);
        // More than 2 GiB take 3 s as the warning counts; this guest uses little of it, and its save is slow.
        assertThat(scene.apply(probed("web", 2).replace("-m, 192M", "-m, 2304M")))
                .contains("Warning: VM pod web: the liveness probe of container qemu gives up after 2 s");
        Tick before = scene.awaitTick("web");

        scene.snapshot("web-saved", "web", "className: slow-probes");
        assertThat(scene.awaitFailure("vmsnap/web-saved")).startsWith("QEMUGone: ");
        await("a boot in the same pod").atMost(Scene.PATIENCE).until(() -> scene.ticks("web").stream()
                .anyMatch(tick -> !tick.nonce().equals(before.nonce())));
        assertThat(restarts(scene, "web")).isNotEqualTo("0");
    }

    @Test
    void aSaveThatAProbeOfTheGuestDoesNotBearIsRefusedAndTheVmRunsOn(Scene scene) {
        scene.apply(SLOW);
        scene.apply(VmManifest.of("web")
                .memory(192, 64)
                .containerSpec(
                        // Nobody listens before QEMU runs.
                        "startupProbe:",
                        "  periodSeconds: 1",
                        "  failureThreshold: 120",
                        "  tcpSocket: {port: 4321}",
                        "livenessProbe:",
                        "  periodSeconds: 1",
                        "  failureThreshold: 20",
                        "  tcpSocket: {port: 4321}")
                .pod()
                .replace("-serial, stdio", "-serial, stdio, -serial, 'tcp::4321,server=on,wait=off'"));
        Tick before = scene.awaitTick("web");

        scene.snapshot("web-saved", "web", "className: slow-probes");
        assertThat(scene.awaitFailure("vmsnap/web-saved"))
                .startsWith("LivenessProbeTooShort: ")
                .contains("the liveness probe of container qemu gives up after 20 s")
                .contains("The VM runs.");
        scene.awaitGoingOn("web", before);
        assertThat(restarts(scene, "web")).isEqualTo("0");
    }

    /** A VM whose probe wants the guest to have ticked within the last 5 s, from its first tick on. */
    private static String probed(String name, int failures) {
        return VmManifest.of(name)
                .memory(192, 64)
                .containerSpec(
                        "startupProbe:",
                        "  periodSeconds: 1",
                        "  failureThreshold: 120",
                        "  exec: {command: [grep, -q, tick, /tmp/serial]}",
                        "livenessProbe:",
                        "  periodSeconds: 1",
                        "  failureThreshold: " + failures,
                        "  exec: {command: [sh, -c, 'test $(($(date +%s) - $(stat -c %Y /tmp/serial))) -le 5']}")
                .pod()
                .replace("-serial, stdio", "-chardev, 'stdio,id=log,logfile=/tmp/serial', -serial, 'chardev:log'");
    }

    private static String restarts(Scene scene, String pod) {
        return scene.field("pod/" + pod, ".status.containerStatuses[0].restartCount");
    }
}
