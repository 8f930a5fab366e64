package dev.torpor.e2e.cluster;

import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.ContainerStatusBuilder;
import io.fabric8.kubernetes.api.model.HostPathVolumeSource;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Volume;
import io.fabric8.kubernetes.api.model.VolumeMount;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One VM pod on a {@link StandInNode}: its first container as a process, restarted when it ends (restartPolicy Always), in
 * a mount namespace with a {@code /run} of its own, where {@code torpor} is the pod's volume and folders of the node and of
 * claims are mounted as the pod says, and in a cgroup {@code …/pod<uid>/<container id>}.
 */
public final class StandInPod implements AutoCloseable {
    private static final Path CGROUPS = cgroupHierarchy();
    private static final long RESTART_DELAY_MILLIS = 300;
    private static final long PATIENCE_SECONDS = 120;
    private static final long AGAIN_MILLIS = 20;
    private static final int AGAIN_MAX = 3000; // a minute

    private final KubernetesClient client;
    private final Pod pod;
    private final Path directory;
    private final Path volume;
    private final Path log;
    private final Path cgroup;
    private final Object lock = new Object();
    private volatile boolean ending;
    private boolean deleted;
    /** The end by the kubelet of its own accord. */
    private Optional<Thread> ownEnd = Optional.empty();

    private volatile boolean off;
    private Optional<Thread> runner = Optional.empty();
    private volatile Optional<Child> process = Optional.empty();
    private int starts;

    private StandInPod(KubernetesClient client, Path kubeletRoot, Pod pod) {
        this.client = client;
        this.pod = pod;
        String uid = pod.getMetadata().getUid();
        this.directory = kubeletRoot.resolve("pods").resolve(uid);
        this.volume = directory.resolve("volumes/kubernetes.io~empty-dir/torpor");
        this.log = kubeletRoot.resolve(pod.getMetadata().getName() + "-" + uid + ".log");
        this.cgroup = CGROUPS.resolve("torpor-stand-in").resolve("pod" + uid);
    }

    static StandInPod start(KubernetesClient client, Path kubeletRoot, Pod pod) {
        StandInPod started = new StandInPod(client, kubeletRoot, pod);
        started.powerOn();
        return started;
    }

    /** Begins to run: at first, or again after the node's power was off; the init container too, as in a new sandbox. */
    final void powerOn() {
        synchronized (lock) {
            off = false;
            runner = Optional.of(Thread.ofPlatform()
                    .daemon()
                    .name("stand-in-pod-" + pod.getMetadata().getName())
                    .start(this::run));
        }
    }

    /** Ends all processes, as a power cut does: the volume, which is on the node's disk, and the pod object stay. */
    void powerOff() {
        Optional<Thread> running;
        synchronized (lock) {
            off = true;
            running = runner;
        }
        process.ifPresent(Child::kill);
        try {
            if (running.isPresent()) {
                running.get().join();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Empties the folder that launcher and agent share, while the power is off: as if it had been in memory. */
    public void loseVolume() {
        deleteTree(volume);
    }

    boolean is(String namespace, String name) {
        return pod.getMetadata().getNamespace().equals(namespace)
                && pod.getMetadata().getName().equals(name);
    }

    /** Returns the UID of the pod object. */
    public String uid() {
        return pod.getMetadata().getUid();
    }

    /** Returns the folder that is {@code /run/torpor} for the VM. */
    public Path volume() {
        return volume;
    }

    /** Returns what the container has printed over all its starts; the guest's console is in it. */
    public String output() throws IOException {
        return Files.exists(log) ? Files.readString(log, StandardCharsets.ISO_8859_1) : "";
    }

    /** Returns the guest's latest tick. */
    public Optional<Tick> lastTick() throws IOException {
        return output().lines().map(Tick::parse).flatMap(Optional::stream).reduce((first, second) -> second);
    }

    /** Returns the first tick of a guest here. */
    public Optional<Tick> firstTick() throws IOException {
        return output().lines().flatMap(line -> Tick.parse(line).stream()).findFirst();
    }

    /** Returns the nonces that its guests printed, each once, in their order: one for each boot. */
    public List<String> nonces() throws IOException {
        return output().lines()
                .flatMap(line -> Tick.parse(line).stream())
                .map(Tick::nonce)
                .distinct()
                .toList();
    }

    /** Returns how often its launcher has asked the agent how to start. */
    public long asks() throws IOException {
        return output().lines()
                .filter(line -> line.contains("torpor: asking the agent of this node how to start"))
                .count();
    }

    /** Waits for a tick, and returns it. */
    public Tick awaitTick(Predicate<Tick> wanted) throws IOException {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (System.nanoTime() < end) {
            Optional<Tick> tick = lastTick().filter(wanted);
            if (tick.isPresent()) {
                return tick.get();
            }
            pause(AGAIN_MILLIS);
        }
        throw new IllegalStateException("waited in vain for a tick; the container printed:\n" + output());
    }

    /** Returns the number of times the container was started. */
    public int starts() {
        synchronized (lock) {
            return starts;
        }
    }

    /** Returns the process of the container; the launcher first, QEMU later, with the same id. */
    public Optional<Process> process() {
        return process.map(Child::process);
    }

    /** Kills the container's process as the kernel would; it is started again soon. */
    public void killContainer() {
        process.ifPresent(Child::kill);
    }

    /** Stops the container's process wherever it is, until it is killed. */
    public void freeze() throws IOException, InterruptedException {
        long pid = process().orElseThrow().pid();
        if (new ProcessBuilder("kill", "-STOP", Long.toString(pid)).start().waitFor() != 0) {
            throw new IOException("process " + pid + " was not stopped");
        }
    }

    /** Ends the container as the kubelet does for a deleted pod, and reports the pod gone. */
    void terminate(@Nullable Long graceSeconds) {
        Optional<Thread> before;
        synchronized (lock) {
            before = ownEnd;
            if (deleted || (ending && before.isEmpty())) {
                return;
            }
            deleted = true;
            ending = true;
        }
        Thread.ofPlatform().daemon().start(() -> {
            if (before.isEmpty()) {
                endContainer(graceSeconds == null ? 30 : graceSeconds);
            } else {
                join(before.get());
            }
            // The pod object's own end follows from this, and with it close().
            client.pods()
                    .inNamespace(pod.getMetadata().getNamespace())
                    .withName(pod.getMetadata().getName())
                    .withGracePeriod(0)
                    .delete();
        });
    }

    private void endContainer(long graceSeconds) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(graceSeconds);
        process.ifPresent(child -> {
            try {
                preStop(child, end);
                child.process().destroy();
                if (!child.process().waitFor(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS)) {
                    child.kill();
                }
            } catch (InterruptedException | IOException e) {
                child.kill();
            }
        });
    }

    /**
     * Ends the container as a kubelet does of its own accord: the pod is not deleted, and that it ends is said when it has.
     */
    void endByKubelet(long graceSeconds) {
        synchronized (lock) {
            if (ending) {
                return;
            }
            ending = true;
            ownEnd = Optional.of(Thread.ofPlatform().daemon().start(() -> {
                endContainer(graceSeconds);
                reportEnded();
            }));
        }
    }

    private void reportEnded() {
        try {
            Conflicts.retried(() -> client.pods()
                    .inNamespace(pod.getMetadata().getNamespace())
                    .withName(pod.getMetadata().getName())
                    .editStatus(now -> new PodBuilder(now)
                            .editOrNewStatus()
                            .withPhase("Failed")
                            .withReason("Terminated")
                            .removeMatchingFromConditions(c -> c.getType().equals("Ready"))
                            .addNewCondition()
                            .withType("Ready")
                            .withStatus("False")
                            .endCondition()
                            .addNewCondition()
                            .withType("DisruptionTarget")
                            .withStatus("True")
                            .withReason("TerminationByKubelet")
                            .endCondition()
                            .endStatus()
                            .build()));
        } catch (KubernetesClientException e) {
            System.err.println("stand-in pod " + this + ": its end not written: " + e.getMessage());
        }
    }

    /** Runs the container's hook, for as long as the pod's grace period lasts. */
    private void preStop(Child child, long endNanos) throws IOException, InterruptedException {
        Container first = pod.getSpec().getContainers().getFirst();
        if (first.getLifecycle() == null || first.getLifecycle().getPreStop() == null) {
            return;
        }
        List<String> command = new ArrayList<>(
                List.of("nsenter", "-t", Long.toString(child.process().pid()), "--mount", "--"));
        command.addAll(first.getLifecycle().getPreStop().getExec().getCommand());
        Process hook = new ProcessBuilder(command).inheritIO().start();
        if (!hook.waitFor(Math.max(0, endNanos - System.nanoTime()), TimeUnit.NANOSECONDS)) {
            hook.destroyForcibly();
        }
    }

    @Override
    public void close() {
        synchronized (lock) {
            ending = true;
        }
        process.ifPresent(Child::kill);
        try {
            if (Files.exists(cgroup)) {
                try (Stream<Path> containers = Files.list(cgroup)) {
                    for (Path container : containers.filter(Files::isDirectory).toList()) {
                        deleteCgroup(container);
                    }
                }
                deleteCgroup(cgroup);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        deleteTree(directory);
    }

    @Override
    public String toString() {
        return pod.getMetadata().getNamespace() + "/" + pod.getMetadata().getName();
    }

    private void run() {
        try {
            Files.createDirectories(volume);
            install();
            while (true) {
                Child child;
                String containerId =
                        UUID.randomUUID().toString().replace("-", "").repeat(2);
                synchronized (lock) {
                    if (ending || off) {
                        return;
                    }
                    starts++;
                    child = Child.start("container of " + this, log, Map.of(), command(containerId));
                    process = Optional.of(child);
                }
                report(containerId, true);
                child.process().waitFor();
                killAll(cgroup.resolve(containerId));
                if (ending || off) {
                    return;
                }
                report(containerId, false);
                pause(RESTART_DELAY_MILLIS);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void install() throws IOException, InterruptedException {
        Path script = WorkTree.root().resolve("node-agent/src/main/launcher/install");
        int status = new ProcessBuilder("/bin/busybox", "sh", script.toString(), volume.toString())
                .inheritIO()
                .start()
                .waitFor();
        if (status != 0) {
            throw new IllegalStateException("the launcher's install ended with " + status);
        }
    }

    private List<String> command(String containerId) throws IOException {
        Path container = Files.createDirectories(cgroup.resolve(containerId));
        Container first = pod.getSpec().getContainers().getFirst();
        List<String> command = new ArrayList<>(
                List.of("unshare", "--mount", "/bin/sh", "-ec", """
                mount -t tmpfs -o mode=755 stand-in /run
                mkdir /run/torpor
                mount --bind "$1" /run/torpor
                echo $$ > "$2/cgroup.procs"
                shift 2
                while [ "$1" != -- ]; do
                    mkdir -p "$2"
                    mount --bind "$1" "$2"
                    mount -o "remount,bind,$3" "$2"
                    shift 3
                done
                shift
                exec "$@"
                """, "sh", volume.toString(), container.toString()));
        command.addAll(hostPaths(first));
        command.add("--");
        command.addAll(first.getCommand());
        command.addAll(first.getArgs());
        return command;
    }

    /** Returns folder, mount point, and ro or rw of each folder of the node or of a claim, made as the kubelet makes them. */
    private List<String> hostPaths(Container container) throws IOException {
        List<String> mounts = new ArrayList<>();
        for (Volume each : pod.getSpec().getVolumes()) {
            for (VolumeMount mount : container.getVolumeMounts()) {
                Optional<String> folder = mount.getName().equals(each.getName()) ? folder(each) : Optional.empty();
                if (folder.isPresent()) {
                    Files.createDirectories(Path.of(folder.get()));
                    mounts.addAll(List.of(
                            folder.get(),
                            mount.getMountPath(),
                            Boolean.TRUE.equals(mount.getReadOnly()) ? "ro" : "rw"));
                }
            }
        }
        return mounts;
    }

    /** A claim is one of a volume that is a folder of the node: it was bound before its pod was scheduled. */
    private Optional<String> folder(Volume volume) {
        if (volume.getPersistentVolumeClaim() == null) {
            return Optional.ofNullable(volume.getHostPath()).map(HostPathVolumeSource::getPath);
        }
        String bound = client.persistentVolumeClaims()
                .inNamespace(pod.getMetadata().getNamespace())
                .withName(volume.getPersistentVolumeClaim().getClaimName())
                .get()
                .getSpec()
                .getVolumeName();
        return Optional.of(client.persistentVolumes()
                .withName(bound)
                .get()
                .getSpec()
                .getHostPath()
                .getPath());
    }

    /** As the kubelet does: a pod is ready when its container is and all its readiness gates are answered with True. */
    void seen(Pod now) {
        boolean ready = process.filter(child -> child.process().isAlive()).isPresent() && gatesHold(now);
        boolean said = now.getStatus() != null
                && now.getStatus().getConditions().stream()
                        .anyMatch(c ->
                                c.getType().equals("Ready") && c.getStatus().equals("True"));
        if (now.getSpec().getReadinessGates().isEmpty() || ready == said) {
            return;
        }
        try {
            Conflicts.retried(() -> client.pods()
                    .inNamespace(pod.getMetadata().getNamespace())
                    .withName(pod.getMetadata().getName())
                    .editStatus(latest -> new PodBuilder(latest)
                            .editOrNewStatus()
                            .removeMatchingFromConditions(c -> c.getType().equals("Ready"))
                            .addNewCondition()
                            .withType("Ready")
                            .withStatus(ready && gatesHold(latest) ? "True" : "False")
                            .endCondition()
                            .endStatus()
                            .build()));
        } catch (KubernetesClientException e) {
            System.err.println("stand-in pod " + this + ": readiness not written: " + e.getMessage());
        }
    }

    private static boolean gatesHold(Pod pod) {
        return pod.getSpec().getReadinessGates().stream()
                .allMatch(gate -> pod.getStatus() != null
                        && pod.getStatus().getConditions().stream()
                                .anyMatch(c -> c.getType().equals(gate.getConditionType())
                                        && c.getStatus().equals("True")));
    }

    private void report(String containerId, boolean running) {
        var status = new ContainerStatusBuilder()
                .withName(pod.getSpec().getContainers().getFirst().getName())
                .withImage("stand-in")
                .withImageID("stand-in")
                .withContainerID("stand-in://" + containerId)
                .withReady(running)
                .withStarted(running)
                .withRestartCount(starts() - 1);
        if (running) {
            status.withNewState()
                    .withNewRunning()
                    .withStartedAt(Instant.now().toString())
                    .endRunning()
                    .endState();
        } else {
            status.withNewState()
                    .withNewWaiting()
                    .withReason("CrashLoopBackOff")
                    .endWaiting()
                    .endState();
        }
        try {
            Conflicts.retried(() -> client.pods()
                    .inNamespace(pod.getMetadata().getNamespace())
                    .withName(pod.getMetadata().getName())
                    .editStatus(now -> new PodBuilder(now)
                            .editOrNewStatus()
                            .withPhase("Running")
                            .withPodIP("127.0.0.1")
                            .withHostIP("127.0.0.1")
                            .withContainerStatuses(status.build())
                            .removeMatchingFromConditions(c -> c.getType().equals("Ready"))
                            .addNewCondition()
                            .withType("Ready")
                            .withStatus(running && gatesHold(now) ? "True" : "False")
                            .endCondition()
                            .endStatus()
                            .build()));
        } catch (KubernetesClientException e) {
            System.err.println("stand-in pod " + this + ": status not written: " + e.getMessage());
        }
    }

    private static void join(Thread thread) {
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void pause(long millis) {
        try {
            TimeUnit.MILLISECONDS.sleep(millis);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The pids hierarchy of cgroup v1, or the one hierarchy of v2: any will do, limits are not what this is for. */
    private static Path cgroupHierarchy() {
        Path v1 = Path.of("/sys/fs/cgroup/pids");
        return Files.isDirectory(v1) ? v1 : Path.of("/sys/fs/cgroup");
    }

    /** What a container's first process leaves behind goes with it, as with its PID namespace. */
    private static void killAll(Path container) {
        List<String> processes;
        try {
            processes = Files.readAllLines(container.resolve("cgroup.procs"));
        } catch (IOException e) {
            return; // the pod is closed already, or is being closed (ENODEV)
        }
        for (String pid : processes) {
            ProcessHandle.of(Long.parseLong(pid)).ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    private static void deleteCgroup(Path directory) throws IOException {
        // The kernel takes a moment to see that the last process is gone, and one may be forked while others are
        // killed.
        for (int tries = 0; ; tries++) {
            killAll(directory);
            try {
                Files.deleteIfExists(directory);
                return;
            } catch (IOException e) {
                if (tries == AGAIN_MAX) {
                    throw e;
                }
                pause(AGAIN_MILLIS);
            }
        }
    }

    /** The agent, or a hook, may still take away what it has there, or put down something more. */
    private static void deleteTree(Path root) {
        for (int tries = 0; Files.exists(root); tries++) {
            try {
                LiveTree.delete(root);
            } catch (NoSuchFileException | DirectoryNotEmptyException e) {
                if (tries == AGAIN_MAX) {
                    throw new UncheckedIOException(e);
                }
                pause(AGAIN_MILLIS);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
