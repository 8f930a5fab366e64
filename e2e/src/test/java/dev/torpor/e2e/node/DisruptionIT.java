package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerCgroup;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
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

    private static final Pattern STATE = Pattern.compile("\"state\" ?: ?\"(\\w+)\"");

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
    void anUpgradeOfTheAgentInTheMiddleOfASaveLosesNothing(Scene scene) {
        Tick before = saving(scene);

        assertThat(scene.torpor.refusals()).isEmpty();
        String agent = scene.torpor.pods("agent").getFirst();
        try (Teardown upgraded = new Teardown("upgrade of the agent")) {
            upgraded.add(() -> scene.torpor.upgrade("agent.savesAtOnce=2"));
            scene.torpor.upgrade("agent.savesAtOnce=1");

            endsWell(scene, before);
            assertThat(scene.torpor.pods("agent")).doesNotContain(agent);
        }
    }

    @Test
    void aKubeletThatIsStartedAnewInTheMiddleOfASaveIsNotNoticed(Scene scene) throws IOException {
        Tick before = saving(scene);
        scene.cluster.node().restartKubelet();
        scene.awaitReady("vmsnap/web-saved");
        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        scene.awaitGoingOn("web", before);
    }

    @Test
    void anAgentThatIsKilledLosesNothing(Scene scene) throws IOException {
        scene.apply(SLOW);
        Tick before = scene.start(VM);
        assertThat(scene.torpor.refusals()).isEmpty();

        ContainerCgroup agent = agent(scene);
        agent.freeze();
        managedSave(scene, "first");
        await("a save that the agent has not begun")
                .atMost(Scene.PATIENCE)
                .until(() -> scene.field("vmsnap/first", ".status.phase").equals("Bound"));
        assertThat(record(scene, "first")).doesNotExist();
        killAgent(scene, agent);
        awaitHeld(scene, "first");
        agent = agent(scene);
        agent.freeze();
        scene.restore("first-back", "first");
        await("a restore that the agent has not looked at")
                .atMost(Scene.PATIENCE)
                .until(() -> scene.field("vmrest/first-back", ".status.nodeName")
                        .equals(scene.cluster.node().name()));
        killAgent(scene, agent);
        before = goesOn(scene, "first", before);

        agent = agent(scene);
        managedSave(scene, "second", "className: slow", "parallel: {channels: 2}");
        scene.awaitWriting("vmsnap/second");
        Path second = record(scene, "second");
        agent.kill();
        assertThat(state(second)).as("QEMU was writing").isEqualTo("Partial");
        replaceAgent(scene);
        awaitHeld(scene, "second");
        agent = agent(scene);
        scene.restore("second-back", "second", "strategy: Eager");
        awaitLoadingQemu(scene);
        agent.kill();
        assertThat(state(second)).as("not handed over").isIn("Complete", "Verified");
        replaceAgent(scene);
        before = goesOn(scene, "second", before);

        agent = agent(scene);
        managedSave(scene, "third");
        awaitState(scene, "third", "Complete", "Verified");
        killAgent(scene, agent);
        awaitHeld(scene, "third");
        agent = agent(scene);
        scene.restore("third-back", "third");
        awaitState(scene, "third", "HandedOver", "Consumed");
        killAgent(scene, agent);
        goesOn(scene, "third", before);
    }

    private static void managedSave(Scene scene, String name, String... spec) {
        List<String> all = new ArrayList<>(List.of("mode: ManagedSave", "resume: Manual"));
        all.addAll(List.of(spec));
        scene.snapshot(name, "web", all.toArray(String[]::new));
    }

    private static void awaitHeld(Scene scene, String snapshot) {
        await("the VM sleeps").atMost(Scene.PATIENCE).until(() -> scene.field(
                        "vmsnap/" + snapshot, ".status.conditions[?(@.type=='Resumable')].reason")
                .equals("Manual"));
    }

    /** Waits until the VM has consumed its image, and returns a tick of its guest that came after another one. */
    private static Tick goesOn(Scene scene, String snapshot, Tick before) {
        scene.awaitReady("vmrest/" + snapshot + "-back");
        scene.awaitGoingOn("web", before);
        scene.awaitConsumed("vmsnap/" + snapshot);
        assertThat(scene.field("pod/web", ".status.containerStatuses[0].restartCount"))
                .as("no start in vain")
                .isEqualTo("0");
        return scene.awaitTick("web");
    }

    private static Path record(Scene scene, String snapshot) {
        return scene.torpor
                .store()
                .resolve("images")
                .resolve(scene.namespace)
                .resolve("web")
                .resolve(scene.field("vmsnap/" + snapshot, ".metadata.uid") + ".json");
    }

    /** Returns what the disk says of an image, which the API may not know yet. */
    private static String state(Path record) throws IOException {
        Matcher state = STATE.matcher(Files.readString(record));
        assertThat(state.find()).isTrue();
        return state.group(1);
    }

    /** Returns as soon as the disk says so: the agent has told nobody, or is about to. */
    private static void awaitState(Scene scene, String snapshot, String... wanted) {
        Path record = record(scene, snapshot);
        await("image " + List.of(wanted))
                .atMost(Scene.PATIENCE)
                .pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(1))
                .ignoreException(NoSuchFileException.class)
                .until(() -> List.of(wanted).contains(state(record)));
    }

    private static void awaitLoadingQemu(Scene scene) {
        String uid = scene.field("pod/web", ".metadata.uid");
        await("a QEMU that waits for memory")
                .atMost(Scene.PATIENCE)
                .pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(5))
                .until(() -> ProcessHandle.allProcesses()
                        .filter(process -> process.info()
                                .arguments()
                                .map(List::of)
                                .filter(arguments -> arguments.contains("-incoming"))
                                .isPresent())
                        .anyMatch(process -> isOf(uid, process)));
    }

    private static boolean isOf(String podUid, ProcessHandle process) {
        try {
            return Files.readString(Path.of("/proc/" + process.pid() + "/cgroup"))
                    .contains(podUid);
        } catch (IOException e) {
            return false; // It has ended.
        }
    }

    private static ContainerCgroup agent(Scene scene) throws IOException {
        scene.torpor.awaitAgents();
        return scene.cluster
                .node()
                .cgroupOf(podUid(scene, scene.torpor.pods("agent").getFirst()));
    }

    /** Kills it, and its pod: the next one starts without the pause and the restart that the kubelet would count. */
    private static void killAgent(Scene scene, ContainerCgroup agent) {
        agent.kill();
        replaceAgent(scene);
    }

    /** Takes the pod away of one that was killed, before the kubelet starts it again. */
    private static void replaceAgent(Scene scene) {
        system(scene, "delete", "pods", "-l", "app.kubernetes.io/name=torpor-agent", "--grace-period=0", "--force");
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
