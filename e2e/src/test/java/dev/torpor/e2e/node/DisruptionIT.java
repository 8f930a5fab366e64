package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Torpor's own pods go away in the middle of a save: the VM runs on or its image is whole, and nothing hangs. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class DisruptionIT {
    /** Some ten seconds for the guests of these tests. */
    private static final String SLOW = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshotClass
            metadata: {name: slow}
            spec: {bandwidthBytesPerSecond: 12582912}
            """;

    private static final VmManifest VM = VmManifest.of("web").memory(256, 64);

    @Test
    void anAgentThatIsToldToStopFinishesOrUndoesItsSave(Scene scene) {
        Tick before = saving(scene);

        String agent = scene.torpor.pods("agent").getFirst();
        assertThat(scene.torpor.refusals()).isEmpty();
        system(scene, "delete", "pod", agent, "--wait=false");

        endsWell(scene, before);
        await("another agent")
                .atMost(Scene.PATIENCE)
                .until(() -> !scene.torpor.pods("agent").contains(agent));
        scene.torpor.awaitAgents();
    }

    @Test
    void anAgentThatIsKilledLosesNothing(Scene scene) throws IOException {
        Tick before = saving(scene);

        String agent = scene.torpor.pods("agent").getFirst();
        assertThat(scene.torpor.refusals()).isEmpty();
        scene.cluster.node().cgroupOf(podUid(scene, agent)).kill();

        endsWell(scene, before);
        // Without the restart that this test wanted.
        system(scene, "delete", "pod", agent, "--timeout=120s");
        scene.torpor.awaitAgents();
    }

    @Test
    void aLeaderThatIsKilledIsReplacedAndTheSaveGoesOn(Scene scene) {
        saving(scene);

        String leader = scene.torpor.leader();
        system(scene, "delete", "pod", leader, "--grace-period=0", "--force");

        scene.awaitReady("vmsnap/web-saved");
        assertThat(scene.torpor.leader()).isNotEqualTo(leader);
        scene.torpor.awaitOperators();
    }

    /** Starts a VM and its slow save, and returns a tick from before. */
    private static Tick saving(Scene scene) {
        scene.apply(SLOW);
        Tick before = scene.start(VM);
        scene.snapshot("web-saved", "web", "className: slow", "parallel: {channels: 2}");
        scene.awaitWriting("vmsnap/web-saved");
        return before;
    }

    /** Ready, and then the image is whole; or failed, and then the VM runs. */
    private static void endsWell(Scene scene, Tick before) {
        await("end of the save").atMost(Scene.PATIENCE).until(() -> !"Saving,Bound,Pending,Saved"
                .contains(scene.field("vmsnap/web-saved", ".status.phase")));
        String phase = scene.field("vmsnap/web-saved", ".status.phase");
        if ("Ready".equals(phase)) {
            scene.restore("web-back", "web-saved");
            scene.awaitReady("vmrest/web-back");
        } else {
            assertThat(phase).isEqualTo("Failed");
        }
        scene.awaitGoingOn("web", before);
    }

    private static String podUid(Scene scene, String pod) {
        return system(scene, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}");
    }

    private static String system(Scene scene, String... arguments) {
        Kubectl kubectl = scene.kubectl;
        String[] all = new String[arguments.length + 2];
        all[0] = "--namespace";
        all[1] = InstalledTorpor.NAMESPACE;
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return kubectl.run(all);
    }
}
