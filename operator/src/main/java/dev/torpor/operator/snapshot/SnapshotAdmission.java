package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.vm.Claims;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.SnapshotClasses;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmPods;
import dev.torpor.operator.vm.VmUse;
import io.fabric8.kubernetes.api.model.OwnerReference;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Decides whether a snapshot can be bound to a node. Refusals that no waiting cures come first. */
final class SnapshotAdmission {
    private final VmPods pods;
    private final SnapshotClasses classes;
    private final VmUse use;
    private final Stores stores;
    private final ManagedImages managed;
    private final Terminations terminations;
    private final Claims claims;
    private final VolumeSnapshots volumeSnapshots;

    SnapshotAdmission(
            VmPods pods,
            SnapshotClasses classes,
            VmUse use,
            Stores stores,
            ManagedImages managed,
            Terminations terminations,
            Claims claims,
            VolumeSnapshots volumeSnapshots) {
        this.pods = pods;
        this.classes = classes;
        this.use = use;
        this.stores = stores;
        this.managed = managed;
        this.terminations = terminations;
        this.claims = claims;
        this.volumeSnapshots = volumeSnapshots;
    }

    /**
     * Returns what the snapshot is bound to. To be called under the namespace's admission lock.
     *
     * @throws TorporException with the reason for which it cannot be bound, or not yet
     */
    SnapshotSituation.Binding admit(VMSnapshot snapshot) throws TorporException {
        VMSnapshotSpec spec = snapshot.getSpec();
        VmName vm = new VmName(snapshot.getMetadata().getNamespace(), spec.vmName());
        if (Terminations.isAdopting(snapshot)) {
            return adopt(snapshot, vm);
        }
        requireNotSaved(vm);
        Pod pod = singlePod(vm, spec.mode());
        requireSource(spec.source(), pod);
        requireNotOlder(snapshot, pod);
        requireNoController(spec, pod);
        String container = LauncherWiring.qemuContainer(pod);
        String nodeName = requireRunning(pod, container);
        Optional<String> className = classes.resolve(spec);
        List<ObjectName> ofPod = claims.of(pod);
        List<VolumeSnapshotStatus> cuts = volumeSnapshots.plan(snapshot, className, ofPod);
        use.requireFree(vm);
        StoreState.Alive store = requireStore(nodeName);
        return new SnapshotSituation.Binding(
                className.orElse(null),
                VmPods.nameOf(pod),
                Optional.of(pod),
                nodeName,
                store.nodeUid(),
                store.storeId(),
                ofPod,
                cuts);
    }

    /** Binds to an image that an agent made by itself. The pod is recorded if it is still there, being terminated. */
    private SnapshotSituation.Binding adopt(VMSnapshot snapshot, VmName vm) throws TorporException {
        Terminations.Found found = terminations
                .find(snapshot)
                .orElseThrow(() -> new TorporException(
                        FailureReason.ImageMissing,
                        "No agent tells in its NodeStore of an image %s of VM %s."
                                .formatted(
                                        Objects.requireNonNull(
                                                        snapshot.getSpec().source())
                                                .imageUID(),
                                        vm.name())));
        StoreState.Alive store = requireStore(found.nodeName());
        String uid = Objects.requireNonNull(found.save().podUID());
        Optional<Pod> pod = pods.ofUid(vm, uid);
        if (Boolean.TRUE.equals(found.save().imported())) {
            requireNotRunning(vm);
        }
        // The pod is deleted when the agent says Saved: of its own node only.
        if (pod.isPresent() && !found.nodeName().equals(pod.get().getSpec().getNodeName())) {
            throw new TorporException(
                    FailureReason.ImageMissing,
                    "The agent of node %s tells of an image of pod %s, which is on another node. Nothing was done to the VM."
                            .formatted(found.nodeName(), pod.get().getMetadata().getName()));
        }
        return new SnapshotSituation.Binding(
                classes.resolve(snapshot.getSpec()).orElse(null),
                pod.map(VmPods::nameOf).orElse(new ObjectName(null, uid)),
                pod,
                found.nodeName(),
                store.nodeUid(),
                store.storeId(),
                pod.map(claims::of).orElseGet(List::of),
                List.of());
    }

    private void requireNotSaved(VmName vm) throws TorporException {
        Optional<VMSnapshot> waiting = managed.waitingFor(vm);
        if (waiting.isPresent()) {
            throw new TorporException(
                    FailureReason.AlreadySaved,
                    "VM %s is saved already: VMSnapshot %s has its memory, on node %s. Nothing was done. The image is safe."
                            .formatted(
                                    vm.name(),
                                    waiting.get().getMetadata().getName(),
                                    waiting.get().getStatus().getNodeName()));
        }
    }

    private Pod singlePod(VmName vm, @Nullable SaveMode mode) throws TorporException {
        List<Pod> live = pods.live(vm);
        if (live.isEmpty()) {
            throw new TorporException(
                    FailureReason.VMNotFound,
                    "No live pod in namespace %s has the label %s=%s. %s"
                            .formatted(
                                    vm.namespace(),
                                    Torpor.VM_LABEL,
                                    vm.name(),
                                    mode == SaveMode.Checkpoint
                                            ? "Start the VM, or name the right one in a new VMSnapshot."
                                            : "Start the VM, or name the right one, and make a new VMSnapshot: this one saves no VM that started later."));
        }
        if (live.size() > 1) {
            throw new TorporException(
                    FailureReason.MultipleLivePods,
                    "VM %s has %d live pods: %s. A VM is one pod: delete the others. Nothing was done to the VM."
                            .formatted(
                                    vm.name(),
                                    live.size(),
                                    live.stream()
                                            .map(pod -> pod.getMetadata().getName())
                                            .collect(Collectors.joining(", "))));
        }
        return live.getFirst();
    }

    /** A VM that runs writes to its disks; what was imported before does not belong to them any more. */
    private void requireNotRunning(VmName vm) throws TorporException {
        Optional<Pod> running =
                pods.live(vm).stream().filter(pod -> !PodGate.holds(pod)).findFirst();
        if (running.isPresent()) {
            throw new TorporException(
                    FailureReason.VMRunning,
                    "Memory of VM %s was imported while it has pod %s, so it would not belong to its disks. Delete this VMSnapshot with the annotation %s; to import, delete the pod first. Nothing was done to the VM."
                            .formatted(vm.name(), running.get().getMetadata().getName(), Torpor.DISCARD_ANNOTATION));
        }
    }

    private static void requireSource(@Nullable SourceSpec source, Pod pod) throws TorporException {
        if (source != null
                && source.podUID() != null
                && !source.podUID().equals(pod.getMetadata().getUid())) {
            throw new TorporException(
                    FailureReason.PodReplaced,
                    "spec.source.podUID is %s, and the live pod %s has UID %s. Make a new VMSnapshot for that one. The VM runs."
                            .formatted(
                                    source.podUID(),
                                    pod.getMetadata().getName(),
                                    pod.getMetadata().getUid()));
        }
    }

    /** A manifest that lay in a repository, or came back from somewhere, must not stop a VM that it never knew. */
    private static void requireNotOlder(VMSnapshot snapshot, Pod pod) throws TorporException {
        SourceSpec source = snapshot.getSpec().source();
        if (snapshot.getSpec().mode() == SaveMode.Checkpoint || (source != null && source.podUID() != null)) {
            return;
        }
        String made = snapshot.getMetadata().getCreationTimestamp();
        String started = pod.getMetadata().getCreationTimestamp();
        if (made != null && started != null && Instant.parse(started).isAfter(Instant.parse(made))) {
            throw new TorporException(
                    FailureReason.OlderThanPod,
                    "Pod %s of VM %s was made at %s, after this VMSnapshot (%s), which would stop it. To save the VM now, make a new VMSnapshot; this one can be deleted. Nothing was done to the VM."
                            .formatted(
                                    pod.getMetadata().getName(),
                                    snapshot.getSpec().vmName(),
                                    started,
                                    made));
        }
    }

    private static void requireNoController(VMSnapshotSpec spec, Pod pod) throws TorporException {
        Optional<OwnerReference> controller = VmPods.controllerOf(pod);
        if (controller.isPresent() && spec.mode() == SaveMode.Save) {
            throw new TorporException(
                    FailureReason.ControllerWouldRecreate,
                    "Pod %s belongs to %s %s, which would start the VM again as soon as it is saved. Use mode ManagedSave, whose image the next start resumes, or Checkpoint. The VM runs."
                            .formatted(
                                    pod.getMetadata().getName(),
                                    controller.get().getKind(),
                                    controller.get().getName()));
        }
    }

    private static String requireRunning(Pod pod, String container) throws TorporException {
        String nodeName = pod.getSpec().getNodeName();
        if (VmPods.isTerminating(pod)) {
            throw new TorporException(
                    FailureReason.VMNotRunning,
                    "Pod %s is being deleted. Start the VM again to save it."
                            .formatted(pod.getMetadata().getName()));
        }
        if (nodeName == null || !VmPods.isRunning(pod, container)) {
            throw new TorporException(
                    FailureReason.VMNotRunning,
                    "Container %s of pod %s does not run. See what the pod waits for."
                            .formatted(container, pod.getMetadata().getName()));
        }
        return nodeName;
    }

    private StoreState.Alive requireStore(String nodeName) throws TorporException {
        return switch (stores.look(nodeName, null, null)) {
            case StoreState.Alive alive -> alive;
            case StoreState.Away(String message) ->
                throw new TorporException(FailureReason.StoreUnavailable, message + " The VM runs.");
            case StoreState.NodeGone(String message) ->
                throw new TorporException(FailureReason.StoreUnavailable, message);
        };
    }
}
