package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ContainerCgroup;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.RealNode;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** A drain as an administrator does it: the node's VMs sleep through it, and wake up after the uncordon. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class DrainIT {
    private static final Duration PATIENCE = Duration.ofMinutes(3);

    /** What drains use unasked: some twenty seconds for a VM with 96 MiB of random data. */
    private static final String SLOW = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshotClass
            metadata: {name: slow-drains, annotations: {torpor.dev/is-default-class: "true"}}
            spec: {bandwidthBytesPerSecond: 6291456}
            """;

    /** What drains use unasked: recorded channels, as QEMU does not compress what it writes itself. */
    private static final String COMPRESSED = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshotClass
            metadata: {name: compressed-drains, annotations: {torpor.dev/is-default-class: "true"}}
            spec: {parallel: {compression: Zstd}}
            """;

    private static final String WORKLOAD = """
            apiVersion: apps/v1
            kind: %1$s
            metadata: {name: %2$s}
            spec:
              selector: {matchLabels: {app: %2$s}}
              template:
                metadata: {labels: {app: %2$s}}
                spec: %3$s
            ---
            """;

    private static final String WORK =
            "{automountServiceAccountToken: false, terminationGracePeriodSeconds: 1, containers:"
                    + " [{name: work, image: 'torpor-vm:local', imagePullPolicy: Never, command: [sleep, infinity]}]}";

    /**
     * What has nothing to do with VMs: a DaemonSet, a pod that the drain does not ask for, and a Deployment that is drained as
     * on any other node.
     */
    private static final String ORDINARY = WORKLOAD.formatted("DaemonSet", "log", WORK)
            + WORKLOAD.formatted("Deployment", "app", WORK)
            + """
            apiVersion: v1
            kind: Pod
            metadata: {name: left, labels: {drained: "no"}}
            spec: %s
            """.formatted(WORK);

    /** All but those, and the operator: it saves the VMs, and there is no other node for it. */
    private static final String NOT_THE_OPERATOR = "app.kubernetes.io/name!=torpor-operator,drained!=no";

    @Test
    void vmsSleepThroughADrainAndWakeUpByThemselvesAndNobodyElseIsTouched(Scene scene) {
        scene.apply(COMPRESSED);
        scene.apply(ORDINARY);
        scene.apply(VmManifest.of("db").memory(256, 64).statefulSet());
        scene.apply(VmManifest.of("mq").memory(192, 16).statefulSet());
        scene.apply(VmManifest.of("web").pod());
        Tick bystander = scene.start(VmManifest.of("stays"));
        String bystanderUid = uid(scene, "stays");
        Map<String, Tick> before = new LinkedHashMap<>();
        for (String pod : new String[] {"db-0", "mq-0", "web"}) {
            before.put(pod, scene.awaitTick(pod));
        }
        scene.kubectl("rollout", "status", "daemonset/log", "deployment/app", "--timeout=180s");
        scene.kubectl("wait", "--for=condition=Ready", "pod/left", "--timeout=180s");
        List<String> others = List.of(
                "pod/left",
                scene.kubectl("get", "pods", "-l", "app=log", "-o", "name").strip());
        Map<String, String> othersBefore = new LinkedHashMap<>();
        others.forEach(pod -> othersBefore.put(pod, state(scene, pod)));
        String appUid = appUid(scene);
        String node = scene.cluster.node().name();
        try {
            assertThat(scene.kubectl(drainOf(NOT_THE_OPERATOR + ",torpor.dev/vm!=stays", node, "3m")))
                    .contains("node/" + node + " drained", "/app-");
            before.keySet().forEach(pod -> awaitHeld(scene, pod));
            assertThat(scene.kubectl("get", "pods", "-l", "app=app", "-o", "jsonpath={.items[*].spec.schedulingGates}"))
                    .as("nothing holds a pod that is no VM's")
                    .isEmpty();
        } finally {
            scene.kubectl("uncordon", node);
        }
        before.forEach(scene::awaitGoingOn);
        scene.kubectl("rollout", "status", "deployment/app", "--timeout=180s");
        assertThat(appUid(scene)).as("it was drained").isNotEqualTo(appUid);
        others.forEach(pod -> assertThat(state(scene, pod)).as(pod).isEqualTo(othersBefore.get(pod)));
        scene.awaitGoingOn("stays", bystander);
        assertThat(uid(scene, "stays")).as("nobody evicted it").isEqualTo(bystanderUid);
        assertThat(scene.field("pod/stays", ".status.containerStatuses[0].restartCount"))
                .isEqualTo("0");
        await("all images are consumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.phase}"))
                .isEqualTo("Consumed Consumed Consumed"));
        assertThat(scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.engine}"))
                .isEqualTo("multifd-stream multifd-stream multifd-stream");
        assertThat(scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.compression}"))
                .isEqualTo("Zstd Zstd Zstd");
    }

    @Test
    void vmsSleepThroughADrainAndTheRebootThatItWasFor(Scene scene) throws IOException {
        scene.apply(VmManifest.of("db").memory(256, 64).statefulSet());
        scene.apply(VmManifest.of("web").pod());
        Tick running = scene.start(VmManifest.of("stays"));
        String runningUid = uid(scene, "stays");
        Map<String, Tick> before = new LinkedHashMap<>();
        for (String pod : new String[] {"db-0", "web"}) {
            before.put(pod, scene.awaitTick(pod));
        }
        RealNode node = scene.cluster.node();
        assertThat(scene.torpor.refusals()).isEmpty();
        try {
            scene.kubectl(drain(node.name(), "3m", ",torpor.dev/vm!=stays"));
            before.keySet().forEach(pod -> awaitHeld(scene, pod));
            String bootId = node.reboot();

            await("a boot of the VM that was not saved").atMost(PATIENCE).until(() -> scene.ticks("stays").stream()
                    .anyMatch(tick -> !tick.nonce().equals(running.nonce())));
            assertThat(uid(scene, "stays")).as("in the same pod").isEqualTo(runningUid);
            assertThat(agentsBootId(scene)).isEqualTo(bootId);
            before.keySet().forEach(pod -> awaitHeld(scene, pod));
        } finally {
            scene.kubectl("uncordon", node.name());
        }
        before.forEach(scene::awaitGoingOn);
        await("both images are consumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.kubectl("get", "vmsnap", "-o", "jsonpath={.items[*].status.phase}"))
                .isEqualTo("Consumed Consumed"));
        scene.awaitPodsKnown(InstalledTorpor.NAMESPACE); // until then what the kubelet says of them is of before
        scene.torpor.awaitAgents();
        scene.torpor.awaitOperators();
        scene.torpor.forgetRestarts();
    }

    /** Returns the identity of the machine's boot as the agent sees it. */
    private static String agentsBootId(Scene scene) throws IOException {
        return cgroup(scene, scene.torpor.pods("agent").getFirst())
                .read(Path.of("/proc/sys/kernel/random/boot_id"))
                .strip();
    }

    /** It would be everybody's. */
    @AfterEach
    void deleteTheDefaultClass(Scene scene) {
        scene.kubectl("delete", "vmsnapshotclass", "slow-drains", "compressed-drains", "--ignore-not-found");
    }

    @Test
    void anUncordonInTheMiddleTakesBackWhatIsNotSavedAndWakesUpWhatIs(Scene scene) {
        scene.apply(SLOW);
        scene.apply(VmManifest.of("db").memory(256, 96).statefulSet());
        Tick small = scene.start(VmManifest.of("web"));
        Tick big = scene.awaitTick("db-0");
        String webUid = uid(scene, "web");
        String dbUid = uid(scene, "db-0");
        String node = scene.cluster.node().name();
        try {
            // Ends before the saves do, which go on without it.
            assertThat(scene.tryKubectl(drain(node, "4s")).code()).isNotZero();
            awaitSaved(scene, "web", webUid);
            assertThat(scene.field(save("db", dbUid), ".status.phase"))
                    .as("the bigger one is not done")
                    .isEqualTo("Saving");
        } finally {
            scene.kubectl("uncordon", node);
        }
        scene.awaitGoingOn("db-0", big);
        assertThat(uid(scene, "db-0")).as("it was not stopped").isEqualTo(dbUid);
        await("the save is taken back").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.field(save("db", dbUid), ".status.phase"))
                .isEqualTo("Cancelled"));

        scene.awaitGoingOn("web", small);
        assertThat(uid(scene, "web")).as("it was resumed in another pod").isNotEqualTo(webUid);
        await("its image is consumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.field(save("web", webUid), ".status.phase"))
                .isEqualTo("Consumed"));
    }

    @Test
    void withTheOperatorAwayVmsAreHeldAndSavedOnesStaySaved(Scene scene) throws IOException {
        scene.apply(SLOW);
        scene.apply(VmManifest.of("db").memory(256, 96).statefulSet());
        Tick other = scene.start(VmManifest.of("web"));
        Tick saved = scene.awaitTick("db-0");
        String webUid = uid(scene, "web");
        String dbUid = uid(scene, "db-0");
        String node = scene.cluster.node().name();
        String tolerations = system(
                scene, "get", "deployment", "torpor-operator", "-o", "jsonpath={.spec.template.spec.tolerations}");
        assertThat(scene.torpor.refusals()).isEmpty();
        List<ContainerCgroup> operators = new ArrayList<>();
        for (String pod : scene.torpor.pods("operator")) {
            operators.add(cgroup(scene, pod));
        }
        try (Teardown after = new Teardown("drain without operators")) {
            // As the chart has it: other tests upgrade it, and look at what changes.
            after.add(() -> startOperators(scene, tolerations));
            after.add(() -> scene.kubectl("uncordon", node));
            assertThat(scene.tryKubectl(drain(node, "2s", ",app=db")).code()).isNotZero();
            scene.awaitWriting(save("db", dbUid));
            await("the operator knows").atMost(PATIENCE).until(() -> scene.field(save("db", dbUid), ".status.phase")
                    .equals("Saving"));
            // They do nothing from now on, however long it takes to have them gone.
            operators.forEach(ContainerCgroup::freeze);
            assertThat(scene.field(save("db", dbUid), ".status.conditions[?(@.type=='Saved')].status"))
                    .as("that was before the save was done")
                    .isEqualTo("False");
            system(scene, "scale", "deployment", "torpor-operator", "--replicas=0");
            system(
                    scene,
                    "delete",
                    "pods",
                    "-l",
                    "app.kubernetes.io/name=torpor-operator",
                    "--grace-period=0",
                    "--force");
            // Gone from the API, their processes have a grace period all the same, and would answer in it.
            operators.forEach(ContainerCgroup::kill);
            await("no operator")
                    .atMost(PATIENCE)
                    .until(() -> scene.torpor.pods("operator").isEmpty());

            // The agent ends its save by itself; nobody deletes the pod, which never starts its VM again.
            await("memory of db").atMost(PATIENCE).until(() -> scene.field(
                            save("db", dbUid), ".status.conditions[?(@.type=='Saved')].status")
                    .equals("True"));
            // The API server may wait for a webhook that is no more, until it knows better.
            await("the budget holds them").atMost(PATIENCE).untilAsserted(() -> {
                Kubectl.Result blocked = scene.tryKubectl(drain(node, "8s"));
                assertThat(blocked.code()).isNotZero();
                assertThat(blocked.output())
                        .contains("Cannot evict pod as it would violate the pod's disruption budget.");
            });
            scene.awaitGoingOn("web", other);
            assertThat(uid(scene, "web")).isEqualTo(webUid);
            assertThat(scene.kubectl("get", "vmsnap", "-o", "name")).doesNotContain("web");

            scene.cluster.node().cgroupOf(dbUid).kill();
            await("the container starts again, and waits").atMost(PATIENCE).untilAsserted(() -> assertThat(
                            scene.tryKubectl("logs", "db-0", "-c", "qemu").output())
                    .contains("the VM was saved from this pod"));
            assertThat(uid(scene, "db-0")).isEqualTo(dbUid);
            assertThat(scene.ticks("db-0")).as("it did not boot").isEmpty();

            // There is no other node for it.
            startOperators(scene, "[{\"key\": \"node.kubernetes.io/unschedulable\", \"operator\": \"Exists\"}]");
            assertThat(scene.kubectl(drain(node, "3m"))).contains("node/" + node + " drained");
            awaitHeld(scene, "db-0");
            awaitHeld(scene, "web");
        }
        scene.awaitGoingOn("db-0", saved);
        scene.awaitGoingOn("web", other);
    }

    private static void startOperators(Scene scene, String tolerations) {
        system(
                scene,
                "patch",
                "deployment",
                "torpor-operator",
                "--type=merge",
                "--patch",
                "{\"spec\": {\"replicas\": 2, \"template\": {\"spec\": {\"tolerations\": " + tolerations + "}}}}");
        scene.torpor.awaitOperators();
    }

    /** Returns the cgroup of a pod of Torpor's own. */
    private static ContainerCgroup cgroup(Scene scene, String pod) throws IOException {
        return scene.cluster.node().cgroupOf(system(scene, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"));
    }

    /** Returns a drain of VMs only: the operator, which saves them, is on this node too, as there is no other. */
    private static String[] drain(String node, String timeout) {
        return drain(node, timeout, "");
    }

    private static String[] drain(String node, String timeout, String more) {
        return drainOf("torpor.dev/vm" + more, node, timeout);
    }

    private static String[] drainOf(String pods, String node, String timeout) {
        return new String[] {
            "drain",
            node,
            "--ignore-daemonsets",
            "--delete-emptydir-data",
            "--force",
            "--pod-selector=" + pods,
            "--timeout=" + timeout
        };
    }

    /** Returns the first save that a drain makes of a pod's VM. */
    private static String save(String vm, String podUid) {
        return "vmsnap/" + vm + "-" + podUid.substring(0, 8) + "-1";
    }

    private static void awaitSaved(Scene scene, String vm, String podUid) {
        await(vm + " is saved")
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(200))
                .ignoreExceptions() // It need not be there yet.
                .until(() -> scene.field(save(vm, podUid), ".status.conditions[?(@.type=='Saved')].status")
                        .equals("True"));
    }

    private static void awaitHeld(Scene scene, String pod) {
        await(pod + " is held").atMost(PATIENCE).ignoreExceptions().untilAsserted(() -> assertThat(
                        scene.field("pod/" + pod, ".spec.schedulingGates[*].name"))
                .isEqualTo("torpor.dev/saved"));
    }

    /** Returns what there is to be touched of a pod: what it is meant to be, and which container of it runs. */
    private static String state(Scene scene, String pod) {
        return scene.field(
                pod,
                ".metadata.uid} {.metadata.labels} {.metadata.annotations} {.metadata.finalizers} {.spec}"
                        + " {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount");
    }

    private static String appUid(Scene scene) {
        return scene.kubectl("get", "pods", "-l", "app=app", "-o", "jsonpath={.items[*].metadata.uid}");
    }

    private static String uid(Scene scene, String pod) {
        return scene.field("pod/" + pod, ".metadata.uid");
    }

    private static String system(Scene scene, String... arguments) {
        List<String> all = new ArrayList<>(List.of("--namespace", InstalledTorpor.NAMESPACE));
        all.addAll(List.of(arguments));
        return scene.kubectl.run(all.toArray(String[]::new));
    }
}
