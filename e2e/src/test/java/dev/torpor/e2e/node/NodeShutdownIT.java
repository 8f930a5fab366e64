package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.GracefulShutdown;
import dev.torpor.e2e.cluster.LiveTree;
import dev.torpor.e2e.cluster.RealNode;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.host.StandInHost;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** The machine is shut down without a drain, and its kubelet, which holds a lock of logind's, ends all pods before: Torpor's too. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class NodeShutdownIT {
    /** No less than the kubelet wants, which would write the machine's own settings of logind otherwise. */
    private static final int WAIT_SECONDS = 130;

    private static final int GRACE_SECONDS = 120;
    private static final int CRITICAL_SECONDS = 15;
    private static final Pattern COMMITTED = Pattern.compile("\"state\" *: *\"(Complete|Verified)\"");

    /** The default. */
    @Test
    void vmsOfAKubeletThatEndsItsPodsFirstAreSavedAndGoOnAfterTheBoot(Scene scene, @TempDir Path folder)
            throws Exception {
        shutDown(scene, folder, false);
    }

    @Test
    void anAgentThatHoldsALockBesideTheKubeletSavesThemOnceAndTheyGoOnAfterTheBoot(Scene scene, @TempDir Path folder)
            throws Exception {
        shutDown(scene, folder, true);
        assertThat(scene.field("nodestore/" + scene.cluster.node().name(), ".status.lastShutdown.savedVMs"))
                .as("what the agent told after the boot")
                .isEqualTo("2");
    }

    private static void shutDown(Scene scene, Path folder, boolean agentLocks) throws Exception {
        scene.apply(VmManifest.of("db").memory(256, 64).grace(100).statefulSet());
        scene.apply(VmManifest.of("web").grace(100).pod());
        Map<String, Tick> before = new LinkedHashMap<>();
        Map<String, String> uids = new LinkedHashMap<>();
        for (String pod : List.of("db-0", "web")) {
            before.put(pod, scene.awaitTick(pod));
            uids.put(pod, scene.field("pod/" + pod, ".metadata.uid"));
        }
        RealNode node = scene.cluster.node();
        assertThat(scene.torpor.refusals()).isEmpty();
        try (Teardown told = new Teardown("settings of the kubelet");
                StandInHost host = new StandInHost(folder, WAIT_SECONDS)) {
            told.add(() -> endShutdowns(scene));
            if (agentLocks) {
                told.add(() -> scene.torpor.upgrade("agent.nodeShutdown.enabled=false"));
                scene.torpor.upgrade("agent.nodeShutdown.enabled=true", "agent.nodeShutdown.busDirectory=" + folder);
                await("the agent's lock").atMost(Scene.PATIENCE).until(host::isInhibited);
            }
            node.restartKubelet(Optional.of(new GracefulShutdown(host.bus(), GRACE_SECONDS, CRITICAL_SECONDS)));
            await("the kubelet's lock").atMost(Scene.PATIENCE).until(() -> host.inhibitors()
                    .contains("\"kubelet\""));
            // Or it would have none to end.
            scene.awaitPodsKnown(scene.namespace);
            scene.awaitPodsKnown(InstalledTorpor.NAMESPACE);

            host.reboot();
            await("the machine goes down").atMost(Scene.PATIENCE).until(() -> host.shutdowns() == 1);
            assertThat(LiveTree.files(scene.torpor.store().resolve("images").resolve(scene.namespace)))
                    .filteredOn(NodeShutdownIT::isCommitted)
                    .extracting(file -> file.getFileName().toString().substring(0, 36))
                    .as("saved before that, each from its pod")
                    .containsExactlyInAnyOrderElementsOf(uids.values());

            // One that boots finds a bus, and a logind that knows of no shutdown.
            host.restartLogind();
            node.reboot();
            uids.forEach((pod, uid) -> await("another pod " + pod)
                    .atMost(Scene.PATIENCE)
                    .until(
                            () -> scene.tryKubectl("get", "pod", pod, "-o", "jsonpath={.metadata.uid}"),
                            another -> another.code() == 0 && !another.output().contains(uid)));
            before.forEach(scene::awaitGoingOn);
        }
        await("both images are consumed").atMost(Scene.PATIENCE).untilAsserted(() -> assertThat(
                        scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.phase}"))
                .isEqualTo("Consumed Consumed"));
    }

    private static void endShutdowns(Scene scene) throws IOException {
        scene.cluster.node().restartKubelet(Optional.empty());
        // Pods that a kubelet ended stay, for people to see.
        for (String phase : List.of("Failed", "Succeeded")) {
            scene.kubectl.run(
                    "delete", "pods", "-n", InstalledTorpor.NAMESPACE, "--field-selector=status.phase=" + phase);
        }
        scene.awaitPodsKnown(InstalledTorpor.NAMESPACE); // until then what the kubelet says of them is of before
        scene.torpor.awaitAgents();
        scene.torpor.awaitOperators();
        scene.awaitWebhook();
        scene.torpor.forgetRestarts();
    }

    /** Tells whether a file is the record of an image that is committed. */
    private static boolean isCommitted(Path file) {
        try {
            return file.toString().endsWith(".json")
                    && COMMITTED.matcher(Files.readString(file)).find();
        } catch (NoSuchFileException e) {
            return false; // It was taken away since it was seen.
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
