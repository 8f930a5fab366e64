package dev.torpor.e2e.cluster;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * This machine as a node of a {@link ControlPlane} with controllers: a real kubelet and kube-proxy on a containerd of its
 * own, with the images of {@link ContainerImages} loaded. Needs root and the packages of {@code tools/packages.sh}.
 * Cgroup, network, sockets and folders are its own, so that it runs beside another container engine; closing it takes all
 * of them away.
 */
public final class RealNode implements AutoCloseable {
    private static final Duration READY_TIMEOUT = Duration.ofMinutes(2);
    private static final Path CONTAINER_LOGS = Path.of("/var/log/containers");

    private final ControlPlane controlPlane;
    private final ClusterNetwork network;
    private final String name;
    private final Workspace workspace = Workspace.create("node");
    private final Teardown teardown;
    private @Nullable NodeCgroup cgroup;
    private @Nullable ContainerRuntime runtime;
    private Optional<GracefulShutdown> graceful = Optional.empty();
    private @Nullable Child kubelet;
    private @Nullable Child proxy;

    private RealNode(ControlPlane controlPlane, ClusterNetwork network, String name) {
        this.controlPlane = controlPlane;
        this.network = network;
        this.name = name;
        this.teardown = new Teardown("node " + name);
    }

    /**
     * Starts a node and waits until it is Ready. Throws an unchecked exception with the logs' ends if not.
     *
     * @param network the one that the control plane is in
     * @param name of the node object
     */
    static RealNode start(ControlPlane controlPlane, ClusterNetwork network, String name) {
        ContainerImages images = ContainerImages.find();
        RealNode node = new RealNode(controlPlane, network, name);
        try {
            node.startParts(images);
            return node;
        } catch (IOException | RuntimeException e) {
            String logs = node.workspace.logTails(20);
            node.close();
            throw new IllegalStateException("the node " + name + " did not start:\n" + logs, e);
        }
    }

    private void startParts(ContainerImages images) throws IOException {
        teardown.add(workspace);
        teardown.add(() -> Mounts.unmountBelow(workspace.directory()));
        KernelSettings settings = KernelSettings.remember();
        teardown.add(settings::restore);
        FixedFolders folders = FixedFolders.remember();
        teardown.add(folders::removeNew);
        teardown.add(this::deleteLogLinks);
        Mounts.share(Files.createDirectory(kubeletRoot()));
        cgroup = teardown.add(NodeCgroup.create(network.name()));
        runtime = teardown.add(ContainerRuntime.start(workspace, network));
        images.loadInto(runtime.socket());
        kubelet = startKubelet(cgroup, runtime);
        teardown.add(() -> Objects.requireNonNull(kubelet).close());
        proxy = startProxy();
        teardown.add(() -> Objects.requireNonNull(proxy).close());
        teardown.add(this::deletePods);
        awaitReady();
        // Pods wait for the taint to go, not for the condition.
        await("taints of node " + name).atMost(READY_TIMEOUT).until(() -> controlPlane
                .kubectl("get", "node", name, "-o", "jsonpath={.spec.taints}")
                .isEmpty());
    }

    /** Loads the archive of one more image, where the kubelet finds it. */
    public void load(Path archive) {
        ContainerImages.load(archive, Objects.requireNonNull(runtime).socket());
    }

    private Child startKubelet(NodeCgroup cgroup, ContainerRuntime runtime) throws IOException {
        Path configuration = workspace.file("kubelet.yaml");
        Files.writeString(
                configuration,
                new KubeletConfiguration(
                                workspace.directory(),
                                network.nodeAddress(),
                                FreePorts.take(),
                                controlPlane.kubeletClientAuthority(),
                                runtime.endpoint(),
                                cgroup.path(),
                                graceful)
                        .text());
        return network.start(
                workspace,
                "kubelet",
                graceful.map(GracefulShutdown::environment).orElse(Map.of()),
                controlPlane.binaries().path("kubelet"),
                "--config=" + configuration,
                "--kubeconfig=" + controlPlane.kubeconfigOfNode(name),
                "--root-dir=" + kubeletRoot(),
                "--cert-dir=" + workspace.file("kubelet-pki"),
                "--hostname-override=" + name,
                "--node-ip=" + network.nodeAddress());
    }

    /** Makes services reachable, from pods and from the API server. */
    private Child startProxy() {
        return network.start(
                workspace,
                "kube-proxy",
                controlPlane.binaries().path("kube-proxy"),
                "--kubeconfig=" + controlPlane.kubeconfigOf("system:kube-proxy"),
                "--hostname-override=" + name,
                "--proxy-mode=iptables",
                "--cluster-cidr=" + network.podRange(),
                // These settings are the machine's, not the network's.
                "--conntrack-max-per-core=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s");
    }

    /**
     * Cuts this node's power and boots it again: kubelet, kube-proxy, containerd and all processes of all pods are killed; mounts,
     * cgroups, and what containerd and runc keep in memory file systems are gone; containers see a boot of another identity.
     * The disk stays, and so do the packet filter's rules and what the machine itself is: its kernel, and the boot's
     * identity in the node object. The API server is taken to be elsewhere. Returns when kubelet and kube-proxy are
     * started; the node's pods start by themselves.
     *
     * @return the identity of the boot that containers see
     */
    public String reboot() throws IOException {
        ContainerRuntime containers = Objects.requireNonNull(runtime);
        NodeCgroup pods = Objects.requireNonNull(cgroup);
        Objects.requireNonNull(kubelet).kill();
        containers.powerOff();
        Objects.requireNonNull(proxy).kill();
        pods.empty();
        Mounts.unmountBelow(workspace.directory());

        Mounts.share(kubeletRoot());
        String bootId = UUID.randomUUID().toString();
        containers.powerOn(bootId);
        kubelet = startKubelet(pods, containers);
        proxy = startProxy();
        awaitReady();
        return bootId;
    }

    /** Kills the kubelet and starts another; what it started runs on. Returns when it answers. */
    public void restartKubelet() throws IOException {
        restartKubelet(graceful);
    }

    /**
     * The same, with other settings.
     *
     * @param shutdown how it and those after it end pods at a shutdown of the machine, if they do
     */
    public void restartKubelet(Optional<GracefulShutdown> shutdown) throws IOException {
        graceful = shutdown;
        Objects.requireNonNull(kubelet).kill();
        kubelet = startKubelet(Objects.requireNonNull(cgroup), Objects.requireNonNull(runtime));
        awaitReady();
    }

    private void awaitReady() {
        await("node " + name)
                .atMost(READY_TIMEOUT)
                .pollInterval(Duration.ofMillis(200))
                .until(() -> {
                    workspace.requireAllAlive();
                    return controlPlane
                            .kubectl()
                            .tryRun(
                                    "get",
                                    "node",
                                    name,
                                    "-o",
                                    "jsonpath={.status.conditions[?(@.type=='Ready')].status}")
                            .output()
                            .equals("True");
                });
    }

    /** Returns the name of the node object. */
    public String name() {
        return name;
    }

    /** Returns the folder that the kubelet keeps pods' volumes in. */
    public Path kubeletRoot() {
        return workspace.file("kubelet");
    }

    /** Returns the cgroup of a running pod's container. */
    public ContainerCgroup cgroupOf(String podUid) throws IOException {
        return ContainerCgroup.of(Objects.requireNonNull(cgroup).memory(), podUid);
    }

    /** Returns everything's directory; the logs are in {@code logs/}. */
    public Path directory() {
        return workspace.directory();
    }

    /** Returns the ends of all logs, for a failure's report. */
    public String logTails(int lines) {
        return workspace.logTails(lines);
    }

    /** Deletes the node's pods, ends its processes, and takes away what they left on the machine. Idempotent. */
    @Override
    public void close() {
        teardown.close();
    }

    /** While the kubelet is there to unmount their volumes. What it leaves is killed after it. */
    private void deletePods() {
        controlPlane
                .kubectl()
                .tryRun(
                        "delete",
                        "pods",
                        "--all-namespaces",
                        "--field-selector=spec.nodeName=" + name,
                        "--grace-period=1",
                        "--timeout=30s");
        controlPlane.kubectl().tryRun("delete", "node", name, "--timeout=10s");
    }

    /** The kubelet links each container's log into a folder that it can't be told. */
    private void deleteLogLinks() throws IOException {
        if (!Files.isDirectory(CONTAINER_LOGS)) {
            return;
        }
        try (Stream<Path> links = Files.list(CONTAINER_LOGS)) {
            for (Path link : links.filter(Files::isSymbolicLink).toList()) {
                deleteLogLink(link);
            }
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    private void deleteLogLink(Path link) throws IOException {
        try {
            if (Files.readSymbolicLink(link).startsWith(workspace.directory())) {
                Files.deleteIfExists(link);
            }
        } catch (NoSuchFileException e) {
            // One of another node, whose kubelet was quicker.
        }
    }
}
