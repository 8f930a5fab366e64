package dev.torpor.e2e.cluster;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/** A containerd of a node's own, with everything that it keeps below one directory, beside any other on the machine. */
final class ContainerRuntime implements AutoCloseable {
    private static final Duration READY_TIMEOUT = Duration.ofMinutes(1);
    /** The namespace that containerd's CRI plugin keeps its containers and images in. */
    private static final String NAMESPACE = "k8s.io";

    private final Workspace workspace;
    private final ClusterNetwork network;
    private final Path directory;
    private final Path socket;
    private Child containerd;

    private ContainerRuntime(Workspace workspace, Path directory, ClusterNetwork network) throws IOException {
        this.workspace = workspace;
        this.network = network;
        this.directory = directory;
        this.socket = directory.resolve("containerd.sock");
        network.configure(cni(), directory.resolve("cni-addresses"));
        this.containerd = startContainerd(Optional.empty());
    }

    /** Starts one and waits until it answers. */
    static ContainerRuntime start(Workspace workspace, ClusterNetwork network) throws IOException {
        Path directory = Files.createDirectory(workspace.file("containerd"));
        ContainerRuntime runtime = new ContainerRuntime(workspace, directory, network);
        runtime.awaitAnswer();
        return runtime;
    }

    private Path cni() {
        return directory.resolve("cni");
    }

    private Child startContainerd(Optional<Path> specification) throws IOException {
        Path configuration = Files.writeString(directory.resolve("config.toml"), configuration(cni(), specification));
        return network.start(workspace, "containerd", Path.of("/usr/bin/containerd"), "--config=" + configuration);
    }

    private void awaitAnswer() {
        await("containerd").atMost(READY_TIMEOUT).until(() -> {
            containerd.requireAlive();
            return Command.tryRun(ctr("version")).code() == 0;
        });
    }

    /**
     * Ends containerd, the shims and all containers by SIGKILL. What a machine keeps in memory of them is gone then, mounts
     * excepted, which the caller takes away before {@link #powerOn}.
     */
    void powerOff() {
        containerd.kill();
        killShims();
    }

    /**
     * Starts containerd as after a boot, and waits until it answers.
     *
     * @param bootId what containers see as the identity of the machine's boot
     */
    void powerOn(String bootId) throws IOException {
        for (String volatileFolder : List.of("state", "runc")) {
            LiveTree.delete(directory.resolve(volatileFolder));
        }
        Files.deleteIfExists(socket);
        Path file = Files.writeString(directory.resolve("boot-id"), bootId + "\n");
        Path script = Files.writeString(directory.resolve("boot-id.sh"), """
                bundle=$(sed -n 's/.*"bundle":"\\([^"]*\\)".*/\\1/p')
                exec mount --bind %s "$bundle/rootfs/proc/sys/kernel/random/boot_id"
                """.formatted(file));
        // Run in each container's mounts, before its root becomes the root: the machine keeps its own.
        String hook = "{\"hooks\": {\"createContainer\": [{\"path\": \"/bin/sh\", \"args\": [\"sh\", \"-e\", \""
                + script + "\"]}]},";
        String usual = Command.run("ctr", "oci", "spec").strip();
        Path specification =
                Files.writeString(directory.resolve("container.json"), hook + usual.substring(usual.indexOf('{') + 1));
        containerd = startContainerd(Optional.of(specification));
        awaitAnswer();
    }

    private String configuration(Path cni, Optional<Path> specification) throws IOException {
        // The kernel refuses overlay on overlay, as in a container's own file system.
        String snapshotter = Files.getFileStore(directory).type().equals("overlay") ? "native" : "overlayfs";
        // restrict_oom_score_adj: runc fails in a machine without CAP_SYS_RESOURCE otherwise.
        return """
                version = 2
                root = "%1$s/root"
                state = "%1$s/state"
                [grpc]
                address = "%2$s"
                [plugins."io.containerd.internal.v1.opt"]
                path = "%1$s/opt"
                [plugins."io.containerd.grpc.v1.cri"]
                sandbox_image = "%3$s"
                restrict_oom_score_adj = true
                netns_mounts_under_state_dir = true
                [plugins."io.containerd.grpc.v1.cri".cni]
                bin_dir = "/usr/lib/cni"
                conf_dir = "%4$s"
                [plugins."io.containerd.grpc.v1.cri".containerd]
                snapshotter = "%5$s"
                [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
                runtime_type = "io.containerd.runc.v2"
                %6$s
                [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
                SystemdCgroup = false
                Root = "%1$s/runc"
                """.formatted(
                        directory,
                        socket,
                        ContainerImages.PAUSE,
                        cni,
                        snapshotter,
                        specification
                                .map(file -> "base_runtime_spec = \"" + file + "\"")
                                .orElse(""));
    }

    /** Returns the address that a kubelet takes. */
    String endpoint() {
        return "unix://" + socket;
    }

    /** Returns the path of its socket. */
    Path socket() {
        return socket;
    }

    /** Kills the containers that are left, with their shims, and ends containerd. */
    @Override
    public void close() {
        for (String task :
                Command.tryRun(ctr("tasks", "list", "--quiet")).output().lines().toList()) {
            Command.tryRun(ctr("tasks", "delete", "--force", task));
        }
        containerd.close();
        killShims();
    }

    private void killShims() {
        List<ProcessHandle> shims =
                ProcessHandle.allProcesses().filter(this::isOurShim).toList();
        for (ProcessHandle shim : shims) {
            shim.descendants().forEach(ProcessHandle::destroyForcibly);
            shim.destroyForcibly();
        }
        shims.forEach(shim -> shim.onExit().join());
    }

    private boolean isOurShim(ProcessHandle process) {
        try {
            String commandLine = Files.readString(Path.of("/proc/" + process.pid() + "/cmdline"));
            return commandLine.contains("containerd-shim") && commandLine.contains(socket.toString());
        } catch (IOException e) {
            return false; // It has ended.
        }
    }

    private String[] ctr(String... arguments) {
        return Stream.concat(Stream.of("ctr", "--address=" + socket, "--namespace=" + NAMESPACE), Stream.of(arguments))
                .toArray(String[]::new);
    }
}
