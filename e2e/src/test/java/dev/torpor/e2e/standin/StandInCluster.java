package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.api.WebhookUnderTest;
import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.ClassArchives;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.LiveTree;
import dev.torpor.e2e.cluster.StandInNode;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodSchedulingGate;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** A control plane, one stand-in node, the operator and the agent as processes, and a namespace for VMs. */
final class StandInCluster implements AutoCloseable {
    static final Duration PATIENCE = Duration.ofMinutes(2);
    static final String NODE = "stand-in-1";
    private static final ClassArchives ARCHIVES = new ClassArchives();

    final ControlPlane controlPlane;
    final KubernetesClient client;
    final String namespace;
    private final StandInNode node;
    private final Path store;
    private final List<String> operatorArguments;
    private final boolean webhook;
    private final List<StandInNode> otherNodes = new ArrayList<>();
    private final List<Child> otherAgents = new ArrayList<>();
    private Child operator;
    private Child agent;
    private int agents;
    private int operators;
    /** What the agent takes for the identity of the kernel's boot; empty: the machine's. */
    private Optional<Path> bootId = Optional.empty();
    /** Socket of the bus of the node's host, over which it is told of shutdowns. */
    private Optional<Path> systemBus = Optional.empty();

    StandInCluster() throws IOException {
        this(Optional.empty(), false);
    }

    /** Starts everything, with the image store in a directory of the caller's. */
    StandInCluster(Optional<Path> storeDirectory) throws IOException {
        this(storeDirectory, false);
    }

    /** Starts everything, and the operator's webhook too, which wires the launcher into pods and holds those of saved VMs. */
    static StandInCluster withWebhook() throws IOException {
        return new StandInCluster(Optional.empty(), true);
    }

    private StandInCluster(Optional<Path> storeDirectory, boolean webhook) throws IOException {
        ARCHIVES.make(StandInCluster::train);
        this.webhook = webhook;
        controlPlane = ControlPlane.start(ControlPlane.Options.WHOLE);
        List<AutoCloseable> started = new ArrayList<>(List.of(controlPlane));
        try {
            client = controlPlane.client();
            controlPlane.applyCrds();
            client.resource(new NamespaceBuilder()
                            .withNewMetadata()
                            .withName(Torpor.SYSTEM_NAMESPACE)
                            .endMetadata()
                            .build())
                    .create();
            namespace = controlPlane.createNamespace("vms");
            node = StandInNode.start(controlPlane, NODE);
            started.add(node);
            store = storeDirectory.orElse(controlPlane.directory().resolve("store"));
            Files.createDirectories(store);
            List<String> arguments = new ArrayList<>(List.of("--no-leader-election"));
            int port = FreePorts.take();
            if (webhook) {
                arguments.addAll(
                        List.of("--webhook-port", Integer.toString(port), "--launcher-image", "torpor-launcher:local"));
            }
            operatorArguments = arguments;
            operator = startOperator();
            started.add(operator);
            agent = startAgent(AgentOptions.dies("never"));
            started.add(agent);
            if (webhook) {
                WebhookUnderTest.configure(controlPlane, port, port, namespace).awaitInForce(namespace);
            }
        } catch (IOException | RuntimeException | AssertionError e) {
            try {
                close(started);
            } catch (RuntimeException more) {
                e.addSuppressed(more);
            }
            throw e;
        }
    }

    /** Has operator and agent do what they do in most tests. */
    private static void train() throws IOException {
        try (StandInCluster cluster = withWebhook()) {
            cluster.startVm("web", 160, 0);
            cluster.snapshot("saved", "web");
            cluster.awaitReady("saved");
            cluster.agent.end(PATIENCE);
            cluster.operator.end(PATIENCE);
        }
    }

    /** Returns the directory of the image store. */
    Path store() {
        return store;
    }

    /**
     * Returns the running pod of this name, whose container was started. A node may not have heard yet that the one before it
     * is gone: which one it is, is asked of the API server.
     */
    StandInPod pod(String name) {
        return await("pod " + name)
                .atMost(PATIENCE)
                .ignoreExceptions()
                .until(() -> running(name), Optional::isPresent)
                .orElseThrow();
    }

    private Optional<StandInPod> running(String name) {
        String uid = client.pods()
                .inNamespace(namespace)
                .withName(name)
                .require()
                .getMetadata()
                .getUid();
        return Stream.concat(Stream.of(node), otherNodes.stream())
                .flatMap(one -> one.pod(uid).stream())
                .filter(pod -> pod.starts() > 0)
                .findFirst();
    }

    /** Adds a node with a store and an agent of its own, which does not die. */
    StandInNode addNode(String name) throws IOException {
        StandInNode other = StandInNode.start(controlPlane, name);
        otherNodes.add(other);
        otherAgents.add(java(
                List.of(),
                "agent-of-" + name,
                AgentUnderTest.class.getName(),
                List.of(
                        name,
                        Files.createDirectories(controlPlane.directory().resolve("store-" + name))
                                .toString(),
                        other.kubeletRoot().toString(),
                        controlPlane.directory().resolve("steps-" + name).toString(),
                        "never",
                        "60",
                        "0",
                        ""),
                Map.of()));
        return other;
    }

    /** Makes a VM's pod on a node, and waits until its guest has ticked. Only where the webhook is. */
    StandInPod startVmOn(String nodeName, String name) throws IOException {
        client.resource(new PodBuilder(vmPod(name, List.of("qemu-system-x86_64"), arguments(160, 8)))
                        .editSpec()
                        .addToNodeSelector("kubernetes.io/hostname", nodeName)
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Ends the agent by SIGKILL and starts another, which dies at the given place. */
    void restartAgent(String diesAt) throws IOException {
        restartAgent(AgentOptions.dies(diesAt));
    }

    /** Ends the agent by SIGKILL and starts another. */
    void restartAgent(AgentOptions options) throws IOException {
        agent.kill();
        Files.deleteIfExists(waiting()); // it waits no more
        agent = startAgent(options);
    }

    /** Has agents that are started from now on ask a host's logind. */
    void useSystemBus(Path socket) {
        systemBus = Optional.of(socket);
    }

    /** Waits until the agent waits at the step that it was told to. */
    void awaitAgentWaiting() {
        await("an agent that waits").atMost(PATIENCE).until(() -> Files.exists(waiting()));
    }

    /** Has the agent go on from the step at which it waits. */
    void letAgentGoOn() throws IOException {
        Files.delete(waiting());
    }

    private Path waiting() {
        return controlPlane.directory().resolve("wait");
    }

    /** Ends the operator by SIGKILL. */
    void killOperator() {
        operator.kill();
    }

    /** Starts another operator, after the last one was killed. */
    void startAnotherOperator() {
        operator = startOperator();
    }

    /** Has the operator die by SIGKILL when it comes to a place ({@code before SNAPSHOT_START}); those after it do not. */
    void letOperatorDieAt(String place) throws IOException {
        Files.writeString(whereOperatorDies(), place);
    }

    /** Waits until the operator has died of itself, and starts another. */
    void awaitOperatorDeathAndStartAnother() {
        await("death of the operator").atMost(PATIENCE).until(() -> !operator.process()
                .isAlive());
        startAnotherOperator();
    }

    private Path whereOperatorDies() {
        return controlPlane.directory().resolve("where-operator-dies");
    }

    private Child startOperator() {
        List<String> arguments = new ArrayList<>(List.of(whereOperatorDies().toString()));
        arguments.addAll(operatorArguments);
        return java(List.of(), "operator-" + ++operators, DyingOperator.class.getName(), arguments, Map.of());
    }

    /**
     * Cuts the node's power: agent, launchers and QEMUs are gone in one moment. API server and operator run on another machine
     * and stay.
     */
    void powerOff() {
        agent.process().destroyForcibly();
        node.powerOff();
        agent.kill();
    }

    /**
     * Boots the node: its pods start again, and agents started from now on see a boot of another identity. No agent is started
     * yet.
     */
    void powerOn() throws IOException {
        Path next = controlPlane.directory().resolve("boot-id-" + agents);
        Files.writeString(next, UUID.randomUUID() + "\n");
        bootId = Optional.of(next);
        node.powerOn();
    }

    /** Has the node's kubelet end its pods, as at a shutdown. */
    void shutDownByKubelet(long graceSeconds) {
        node.shutDown(graceSeconds);
    }

    /** Has the kubelet take pods again. */
    void giveUpShutdownByKubelet() {
        node.giveUpShutdown();
    }

    /** Returns the lines that the agent has written so far, whole ones only. */
    List<String> agentLog() throws IOException {
        String all = new String(Files.readAllBytes(agent.log()), StandardCharsets.UTF_8);
        return all.substring(0, all.lastIndexOf('\n') + 1).lines().toList();
    }

    /** Waits until the agent serves: what it is to do within a time does not wait for its start. */
    void awaitAgentServing() {
        await("an agent that serves").atMost(PATIENCE).until(() -> agentLog().stream()
                .anyMatch(line -> line.contains("agent of node " + NODE + " with store ")));
    }

    /**
     * How an agent is started.
     *
     * @param diesAt step at which it dies by SIGKILL; {@code never}
     * @param graceSeconds of the time to finish or undo work when it is told to end
     * @param httpPort of its health and metrics; 0 for none
     * @param environment more variables
     * @param jvm options of its JVM that differ from those of the other processes
     */
    record AgentOptions(
            String diesAt, int graceSeconds, int httpPort, Map<String, String> environment, List<String> jvm) {
        AgentOptions(String diesAt, int graceSeconds, int httpPort, Map<String, String> environment) {
            this(diesAt, graceSeconds, httpPort, environment, List.of());
        }

        static AgentOptions dies(String at) {
            return new AgentOptions(at, 60, 0, Map.of());
        }

        /** Its JVM has the options of its image. */
        static AgentOptions ofImage() throws IOException {
            Path options = WorkTree.root().resolve("node-agent/src/main/image/jvm.options");
            try (Stream<String> lines = Files.lines(options)) {
                return new AgentOptions(
                        "never",
                        60,
                        0,
                        Map.of("TORPOR_LOG_LEVEL", "info"),
                        lines.filter(line -> line.startsWith("-")).toList());
            }
        }

        static AgentOptions grace(int seconds) {
            return new AgentOptions("never", seconds, 0, Map.of());
        }
    }

    /** Returns the process of the agent. */
    Process agentProcess() {
        return agent.process();
    }

    /** Returns the process of the operator. */
    Process operatorProcess() {
        return operator.process();
    }

    /** Waits until the agent has died by itself. */
    void awaitAgentDeath() {
        await("death of the agent").atMost(PATIENCE).until(() -> !agent.process()
                .isAlive());
    }

    /** Asks the agent to end, and returns its exit status. */
    int terminateAgent() throws InterruptedException {
        agent.process().destroy();
        return agent.process().waitFor();
    }

    /** Returns the steps that agents took, over all their lives. */
    List<String> steps() throws IOException {
        Path steps = controlPlane.directory().resolve("steps");
        return Files.exists(steps) ? Files.readAllLines(steps) : List.of();
    }

    /** Returns the ends of all logs, for a failure's message. */
    String logs() {
        return "operator:\n" + operator.logTail(40) + "\nagent:\n" + agent.logTail(60);
    }

    /** Makes a VM's pod, and waits until its guest has ticked. */
    StandInPod startVm(String name, int memoryMiB, int fillMiB, String... more) throws IOException {
        createPod(
                name,
                List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"),
                arguments(memoryMiB, fillMiB, more));
        return ticking(name);
    }

    /** Makes a VM's pod and waits for nothing. Only where the webhook is. */
    void createVm(String name, int memoryMiB, int fillMiB, String... more) {
        client.resource(vmPod(name, List.of("qemu-system-x86_64"), arguments(memoryMiB, fillMiB, more)))
                .create();
    }

    private StandInPod ticking(String name) throws IOException {
        StandInPod pod = pod(name);
        pod.awaitTick(tick -> tick.number() >= 2);
        return pod;
    }

    /** Makes a VM's pod of a priority, and waits until its guest has ticked. Only where the webhook is. */
    StandInPod startVm(String name, String priorityClass) throws IOException {
        client.resource(new PodBuilder(vmPod(name, List.of("qemu-system-x86_64"), arguments(160, 8)))
                        .editSpec()
                        .withPriorityClassName(priorityClass)
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod with this grace period, and waits until its guest has ticked. Only where the webhook is. */
    StandInPod startVm(String name, long graceSeconds, String... more) throws IOException {
        client.resource(new PodBuilder(vmPod(name, List.of("qemu-system-x86_64"), arguments(160, 8, more)))
                        .editSpec()
                        .withTerminationGracePeriodSeconds(graceSeconds)
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod that asks for its memory, and waits until its guest has ticked. Only where the webhook is. */
    StandInPod startVmWithRequest(String name, int memoryMiB, int fillMiB) throws IOException {
        client.resource(new PodBuilder(vmPod(name, List.of("qemu-system-x86_64"), arguments(memoryMiB, fillMiB)))
                        .editSpec()
                        .editFirstContainer()
                        .withNewResources()
                        .addToRequests("memory", new Quantity(memoryMiB + "Mi"))
                        .endResources()
                        .endContainer()
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod whose QEMU is another one than the installed, and waits until its guest has ticked. Only where the webhook is. */
    StandInPod startVmOf(String program, String name) throws IOException {
        client.resource(new PodBuilder(vmPod(name, List.of(program), arguments(160, 8)))
                        .editSpec()
                        .withTerminationGracePeriodSeconds(60L)
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod that sees the images of its VM, as the webhook would, and waits until its guest has ticked. */
    StandInPod startVmWithImages(String name, int memoryMiB, int fillMiB, String... more) throws IOException {
        Pod pod = vmPod(
                name,
                List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"),
                arguments(memoryMiB, fillMiB, more));
        client.resource(new PodBuilder(pod)
                        .editSpec()
                        .addNewVolume()
                        .withName("torpor-images")
                        .withNewHostPath()
                        .withPath(store.resolve("images")
                                .resolve(namespace)
                                .resolve(name)
                                .toString())
                        .withType("DirectoryOrCreate")
                        .endHostPath()
                        .endVolume()
                        .editFirstContainer()
                        .addNewVolumeMount()
                        .withName("torpor-images")
                        .withMountPath("/run/torpor-images")
                        .withReadOnly(true)
                        .endVolumeMount()
                        .endContainer()
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod with the hook that the webhook would add, and waits until its guest has ticked. */
    StandInPod startVmWithHook(String name, int memoryMiB, int fillMiB, Optional<OnTermination> policy)
            throws IOException {
        client.resource(withHook(name, memoryMiB, fillMiB, policy)).create();
        return ticking(name);
    }

    /** Makes a claim of a volume that is a folder of the node. */
    void createClaim(String name, Path folder) {
        String volume = "volume-" + UUID.randomUUID();
        client.resource(new PersistentVolumeBuilder()
                        .withNewMetadata()
                        .withName(volume)
                        .endMetadata()
                        .withNewSpec()
                        .withAccessModes("ReadWriteOnce")
                        .addToCapacity("storage", new Quantity("1Gi"))
                        .withStorageClassName("")
                        .withPersistentVolumeReclaimPolicy("Retain")
                        .withNewHostPath()
                        .withPath(folder.toString())
                        .endHostPath()
                        .endSpec()
                        .build())
                .create();
        client.resource(new PersistentVolumeClaimBuilder()
                        .withNewMetadata()
                        .withName(name)
                        .withNamespace(namespace)
                        .endMetadata()
                        .withNewSpec()
                        .withAccessModes("ReadWriteOnce")
                        .withStorageClassName("")
                        .withVolumeName(volume)
                        .withNewResources()
                        .addToRequests("storage", new Quantity("1Gi"))
                        .endResources()
                        .endSpec()
                        .build())
                .create();
    }

    /** Deletes a claim, and waits until it is gone. */
    void deleteClaim(String name) {
        controlPlane.kubectl("delete", "pvc", name, "-n", namespace, "--timeout=120s");
    }

    /**
     * Makes a VM's pod with a claim of its own name at {@code /run/disks}, whose guest keeps a line on its disk, and waits until
     * it has ticked.
     */
    StandInPod startVmWithClaim(String name, String... more) throws IOException {
        List<String> arguments = new ArrayList<>(arguments(160, 8, more));
        int append = arguments.indexOf("-append") + 1;
        arguments.set(append, arguments.get(append) + " torpor.disk=1");
        List<String> command =
                webhook ? List.of("qemu-system-x86_64") : List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64");
        client.resource(new PodBuilder(vmPod(name, command, arguments))
                        .editSpec()
                        .addNewVolume()
                        .withName("disks")
                        .withNewPersistentVolumeClaim()
                        .withClaimName(name)
                        .endPersistentVolumeClaim()
                        .endVolume()
                        .editFirstContainer()
                        .addNewVolumeMount()
                        .withName("disks")
                        .withMountPath("/run/disks")
                        .endVolumeMount()
                        .endContainer()
                        .endSpec()
                        .build())
                .create();
        return ticking(name);
    }

    /** Makes a VM's pod with the readiness gate, as the webhook would, and waits until its guest has ticked. */
    StandInPod startVmWithGate(String name, int memoryMiB, String... more) throws IOException {
        client.resource(withGate(name, memoryMiB, more)).create();
        return ticking(name);
    }

    private Pod withGate(String name, int memoryMiB, String... more) {
        Pod pod = vmPod(
                name, List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), arguments(memoryMiB, 0, more));
        return new PodBuilder(pod)
                .editSpec()
                .addNewReadinessGate(Torpor.GUEST_RUNNING)
                .endSpec()
                .build();
    }

    /**
     * Puts another pod in the place of a saved VM's held one, as the webhook would have made it of that: with the readiness gate,
     * which no manifest is recorded with. Another operator follows.
     */
    void giveGateToHeld(String name, int memoryMiB) {
        await("held pod " + name).atMost(PATIENCE).until(() -> isHeld(name));
        killOperator();
        deletePod(name);
        client.resource(new PodBuilder(withGate(name, memoryMiB))
                        .editSpec()
                        .addNewSchedulingGate(Torpor.SAVED_GATE)
                        .endSpec()
                        .build())
                .create();
        startAnotherOperator();
    }

    private boolean isHeld(String name) {
        Pod pod = client.pods().inNamespace(namespace).withName(name).get();
        return pod != null && !pod.getSpec().getSchedulingGates().isEmpty();
    }

    /** Returns a VM's pod with the hook that the webhook would add. */
    Pod withHook(String name, int memoryMiB, int fillMiB, Optional<OnTermination> policy) {
        Pod pod = vmPod(
                name, List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), arguments(memoryMiB, fillMiB));
        return new PodBuilder(pod)
                .editMetadata()
                .addToAnnotations(policy.map(value -> Map.of(Torpor.ON_TERMINATION_ANNOTATION, value.name()))
                        .orElse(Map.of()))
                .endMetadata()
                .editSpec()
                .withTerminationGracePeriodSeconds(60L)
                .editFirstContainer()
                .withNewLifecycle()
                .withNewPreStop()
                .withNewExec()
                .withCommand("/run/torpor/bin/launch", "--stop")
                .endExec()
                .endPreStop()
                .endLifecycle()
                .endContainer()
                .endSpec()
                .build();
    }

    /** Returns the arguments of the guest's QEMU. */
    static List<String> arguments(int memoryMiB, int fillMiB, String... more) {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(memoryMiB, fillMiB));
        arguments.addAll(List.of("-serial", "stdio", "-monitor", "none"));
        arguments.addAll(List.of(more));
        return arguments;
    }

    /** Makes a VM's pod. */
    void createPod(String name, List<String> command, List<String> arguments) {
        client.resource(vmPod(name, command, arguments)).create();
    }

    private Pod vmPod(String name, List<String> command, List<String> arguments) {
        Pod plain = new PodBuilder()
                .withNewMetadata()
                .withName(name)
                .withNamespace(namespace)
                .addToLabels(Torpor.VM_LABEL, name)
                .endMetadata()
                .withNewSpec()
                .withTerminationGracePeriodSeconds(1L)
                .withAutomountServiceAccountToken(false)
                .addNewContainer()
                .withName("qemu")
                .withImage("torpor-vm:local")
                .withCommand(command)
                .withArgs(arguments)
                .endContainer()
                .endSpec()
                .build();
        return webhook ? plain : wired(plain);
    }

    private static Pod wired(Pod plain) {
        return new PodBuilder(plain)
                .editSpec()
                .addNewInitContainer()
                .withName("torpor-launcher")
                .withImage("torpor-launcher:local")
                .addNewVolumeMount()
                .withName("torpor")
                .withMountPath("/run/torpor")
                .endVolumeMount()
                .endInitContainer()
                .editFirstContainer()
                .addNewVolumeMount()
                .withName("torpor")
                .withMountPath("/run/torpor")
                .endVolumeMount()
                .endContainer()
                .addNewVolume()
                .withName("torpor")
                .withNewEmptyDir()
                .endEmptyDir()
                .endVolume()
                .endSpec()
                .build();
    }

    /** Makes one more pod of a VM, which names its node itself, and waits until its container runs. Only where no webhook is. */
    StandInPod startByHand(String name, String vm, String nodeName) {
        client.resource(new PodBuilder(byHand(name, vm))
                        .editSpec()
                        .withNodeName(nodeName)
                        .endSpec()
                        .build())
                .create();
        return pod(name);
    }

    /** Makes one more pod of a VM, which is held and would rather go to a node. Only where no webhook is. */
    void createHeldByHand(String name, String vm, String preferredNode) {
        client.resource(new PodBuilder(byHand(name, vm))
                        .editSpec()
                        .addNewSchedulingGate(Torpor.SAVED_GATE)
                        .withNewAffinity()
                        .withNewNodeAffinity()
                        .addNewPreferredDuringSchedulingIgnoredDuringExecution()
                        .withWeight(100)
                        .withNewPreference()
                        .addNewMatchExpression()
                        .withKey("kubernetes.io/hostname")
                        .withOperator("In")
                        .withValues(preferredNode)
                        .endMatchExpression()
                        .endPreference()
                        .endPreferredDuringSchedulingIgnoredDuringExecution()
                        .endNodeAffinity()
                        .endAffinity()
                        .endSpec()
                        .build())
                .create();
    }

    private Pod byHand(String name, String vm) {
        return new PodBuilder(
                        vmPod(vm, List.of("/run/torpor/bin/launch", "--", "qemu-system-x86_64"), arguments(160, 8)))
                .editMetadata()
                .withName(name)
                .endMetadata()
                .build();
    }

    /** Returns the scheduling gates of a pod; none if there is no such pod. */
    List<String> gates(String pod) {
        return Optional.ofNullable(
                        client.pods().inNamespace(namespace).withName(pod).get())
                .map(found -> found.getSpec().getSchedulingGates())
                .orElse(List.of())
                .stream()
                .map(PodSchedulingGate::getName)
                .toList();
    }

    /** Applies a VMSnapshot; {@code spec} are further lines of its spec. */
    void snapshot(String name, String vm, String... spec) {
        apply("VMSnapshot", name, "vmName: " + vm, spec);
    }

    /** Applies a VMRestore; {@code spec} are further lines of its spec. */
    void restore(String name, String snapshot, String... spec) {
        apply("VMRestore", name, "snapshotName: " + snapshot, spec);
    }

    private void apply(String kind, String name, String first, String... spec) {
        StringBuilder yaml = new StringBuilder("apiVersion: torpor.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: "
                + name + ", namespace: " + namespace + "}\nspec:\n  " + first + "\n");
        for (String line : spec) {
            yaml.append("  ").append(line).append('\n');
        }
        controlPlane.kubectl().runWithInput(yaml.toString(), "apply", "-f", "-");
    }

    VMSnapshot snapshot(String name) {
        return client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
    }

    VMRestore restore(String name) {
        return client.resources(VMRestore.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
    }

    VMSnapshot awaitSnapshot(String name, Predicate<VMSnapshotStatus> wanted) {
        try {
            return await("VMSnapshot " + name)
                    .atMost(PATIENCE)
                    .until(
                            () -> snapshot(name),
                            object -> object.getStatus() != null && wanted.test(object.getStatus()));
        } catch (RuntimeException e) {
            throw new AssertionError(describe("vmsnapshot", name), e);
        }
    }

    VMSnapshot awaitReady(String name) {
        return awaitSnapshot(name, status -> {
            if (status.getFailure() != null) {
                throw new IllegalStateException("it failed");
            }
            return Conditions.isTrue(status.getConditions(), ConditionType.READY);
        });
    }

    /** Waits until an image is Ready and all of its pages were read back. */
    VMSnapshot awaitVerified(String name) {
        awaitReady(name);
        return awaitSnapshot(name, status -> Conditions.isTrue(status.getConditions(), ConditionType.VERIFIED));
    }

    VMSnapshot awaitFailure(String name) {
        return awaitSnapshot(name, status -> status.getFailure() != null);
    }

    VMRestore awaitRestore(String name, Predicate<VMRestore> wanted) {
        try {
            return await("VMRestore " + name)
                    .atMost(PATIENCE)
                    .until(() -> restore(name), object -> object.getStatus() != null && wanted.test(object));
        } catch (RuntimeException e) {
            throw new AssertionError(describe("vmrestore", name), e);
        }
    }

    VMRestore awaitRunning(String name) {
        return awaitRestore(name, object -> {
            if (requireNonNull(object.getStatus()).getFailure() != null) {
                throw new IllegalStateException("it failed");
            }
            return Conditions.isTrue(object.getStatus().getConditions(), ConditionType.READY);
        });
    }

    VMRestore awaitRestoreFailure(String name) {
        return awaitRestore(name, object -> requireNonNull(object.getStatus()).getFailure() != null);
    }

    /** Returns the files of images in the store, records too. */
    List<Path> imageFiles() throws IOException {
        return LiveTree.files(store.resolve("images"));
    }

    /** Asks for a pod's eviction, as {@code kubectl drain} does, and returns what is answered. Only where the webhook is. */
    String evict(String pod) {
        return controlPlane
                .kubectl()
                .tryWithInput(
                        """
                        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s", "namespace": "%s"}}
                        """.formatted(pod, namespace),
                        "create",
                        "--raw",
                        "/api/v1/namespaces/%s/pods/%s/eviction".formatted(namespace, pod),
                        "-f",
                        "-")
                .output();
    }

    /** Deletes a VM's pod, and waits until it is gone. */
    void deletePod(String name) {
        controlPlane.kubectl("delete", "pod", name, "-n", namespace, "--timeout=120s", "--ignore-not-found");
    }

    /** Waits until there is no pod of this name. */
    void awaitPodGone(String name) {
        await("pod " + name + " is gone")
                .atMost(PATIENCE)
                .until(() -> client.pods().inNamespace(namespace).withName(name).get() == null);
    }

    /** For a message: that it cannot be had is no failure of its own. */
    private String describe(String kind, String name) {
        return controlPlane
                        .kubectl()
                        .tryRun("get", kind, name, "-n", namespace, "-o", "yaml", "--request-timeout=20s")
                        .output()
                + "\n" + logs();
    }

    /** Waits until the guest of a pod has ticked on from a tick. */
    static Tick awaitGoingOn(StandInPod pod, Tick from) throws IOException {
        return pod.awaitTick(
                tick -> tick.nonce().equals(from.nonce()) && tick.number() > from.number() && !tick.memoryWrong());
    }

    private Child startAgent(AgentOptions options) throws IOException {
        return java(
                options.jvm(),
                bootId.map(file -> List.of(
                                "unshare",
                                "--mount",
                                "/bin/sh",
                                "-ec",
                                "mount --bind \"$1\" /proc/sys/kernel/random/boot_id; shift; exec \"$@\"",
                                "sh",
                                file.toString()))
                        .orElse(List.of()),
                "agent-" + ++agents,
                AgentUnderTest.class.getName(),
                List.of(
                        NODE,
                        store.toString(),
                        node.kubeletRoot().toString(),
                        controlPlane.directory().resolve("steps").toString(),
                        options.diesAt(),
                        Integer.toString(options.graceSeconds()),
                        Integer.toString(options.httpPort()),
                        systemBus.map(Path::toString).orElse("")),
                options.environment());
    }

    private Child java(
            List<String> before, String name, String main, List<String> arguments, Map<String, String> more) {
        return java(List.of(), before, name, main, arguments, more);
    }

    private Child java(
            List<String> jvm,
            List<String> before,
            String name,
            String main,
            List<String> arguments,
            Map<String, String> more) {
        Map<String, String> environment =
                new HashMap<>(Map.of("KUBECONFIG", controlPlane.kubeconfig().toString(), "TORPOR_LOG_LEVEL", "debug"));
        environment.putAll(more);
        List<String> command = new ArrayList<>(before);
        command.addAll(List.of(
                Path.of(System.getProperty("java.home"), "bin/java").toString(),
                "-Xmx128m",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow"));
        command.addAll(ARCHIVES.options(main));
        command.addAll(jvm); // the last one of two holds
        command.add(main);
        command.addAll(arguments);
        return Child.start(name, controlPlane.directory().resolve(name + ".log"), environment, command);
    }

    @Override
    public void close() {
        List<AutoCloseable> parts = new ArrayList<>(List.of(controlPlane));
        parts.addAll(otherNodes);
        parts.addAll(List.of(node, operator));
        parts.addAll(otherAgents);
        parts.add(agent);
        // First of all, as nodes take their leave of it: a test may have failed while it hung.
        parts.add(controlPlane::continueApiServer);
        close(parts);
    }

    private static void close(List<AutoCloseable> parts) {
        try (Teardown all = new Teardown("the stand-in cluster")) {
            parts.forEach(all::add);
        }
    }
}
