package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Pods, nodes and saves of drains, in the states that tests want. VM {@code web} runs in pod {@code web-0} on {@code n1}. */
final class Drained {
    static final String ENDED_AT = "2026-01-02T03:10:00Z";
    static final String POD_UID = "0123456789abcdef";

    private Drained() {}

    static Pod pod() {
        return TestPods.running("web-0", POD_UID).build();
    }

    static Node node() {
        return new NodeBuilder()
                .withNewMetadata()
                .withName("n1")
                .endMetadata()
                .withNewSpec()
                .endSpec()
                .build();
    }

    static Node cordoned() {
        return new NodeBuilder(node())
                .editSpec()
                .withUnschedulable(true)
                .endSpec()
                .build();
    }

    static Node tainted(String key) {
        return new NodeBuilder(node())
                .editSpec()
                .addNewTaint()
                .withKey(key)
                .withEffect("NoSchedule")
                .endTaint()
                .endSpec()
                .build();
    }

    static Node inMaintenance(String value) {
        return new NodeBuilder(node())
                .editMetadata()
                .addToAnnotations(Torpor.MAINTENANCE_ANNOTATION, value)
                .endMetadata()
                .build();
    }

    /** Returns a save that a drain of the cordoned node made, without a status. */
    static VMSnapshot save(int attempt) {
        return save(attempt, DrainCause.Cordon);
    }

    static VMSnapshot save(int attempt, DrainCause cause) {
        VMSnapshot save = snapshot("web-01234567-" + attempt, SaveMode.ManagedSave, POD_UID);
        save.getMetadata()
                .setAnnotations(new java.util.HashMap<>(java.util.Map.of(
                        Torpor.CREATED_BY_ANNOTATION,
                        Torpor.CREATED_BY_DRAIN,
                        Torpor.DRAIN_NODE_ANNOTATION,
                        "n1",
                        Torpor.DRAIN_CAUSE_ANNOTATION,
                        cause.name())));
        return save;
    }

    /** Returns what a save would be that is told to end. */
    static VMSnapshotSpec cancelled(VMSnapshotSpec spec) {
        return new VMSnapshotSpec(
                spec.vmName(),
                spec.mode(),
                spec.className(),
                spec.source(),
                spec.parallel(),
                spec.deadlineSeconds(),
                true,
                spec.deletionPolicy(),
                spec.resume(),
                spec.verify());
    }

    /** Pins a save to another pod. */
    static VMSnapshot ofPod(VMSnapshot save, String podUid) {
        save.setSpec(snapshot(save.getMetadata().getName(), SaveMode.ManagedSave, podUid)
                .getSpec());
        if (save.getStatus() != null) {
            save.getStatus().setPod(new ObjectName("web-0", podUid));
        }
        return save;
    }

    /** Returns a snapshot that somebody made. */
    static VMSnapshot snapshot(String name, SaveMode mode, @Nullable String podUid) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName(name)
                .withUid("uid-of-" + name)
                .withCreationTimestamp("2026-01-02T03:00:00Z")
                .build());
        snapshot.setSpec(new VMSnapshotSpec(
                "web",
                mode,
                null,
                podUid == null ? null : SourceSpec.ofPod(podUid),
                null,
                300,
                null,
                null,
                null,
                null));
        return snapshot;
    }

    static VMSnapshot bound(VMSnapshot snapshot) {
        return in(snapshot, SnapshotPhase.Bound);
    }

    static VMSnapshot saving(VMSnapshot snapshot, long doneBytes, long totalBytes) {
        VMSnapshot saving = in(snapshot, SnapshotPhase.Saving);
        saving.getStatus().setProgress(new Progress(totalBytes, doneBytes, null, null, 6L, null, null));
        return says(saving, ConditionType.SAVED, false, "Saving", "memory is being written");
    }

    static VMSnapshot saved(VMSnapshot snapshot) {
        return says(in(snapshot, SnapshotPhase.Saved), ConditionType.SAVED, true, "Committed", "");
    }

    static VMSnapshot ended(VMSnapshot snapshot, SnapshotPhase phase, String reason) {
        return says(in(snapshot, phase), ConditionType.STALLED, true, reason, "It could not be done.");
    }

    static VMSnapshot failed(VMSnapshot snapshot, String reason) {
        return ended(snapshot, SnapshotPhase.Failed, reason);
    }

    static VMSnapshot says(VMSnapshot snapshot, String type, boolean status, String reason, String message) {
        snapshot.getStatus()
                .setConditions(List.of(new ConditionBuilder()
                        .withType(type)
                        .withStatus(status ? "True" : "False")
                        .withReason(reason)
                        .withMessage(message)
                        .withLastTransitionTime(ENDED_AT)
                        .build()));
        return snapshot;
    }

    private static VMSnapshot in(VMSnapshot snapshot, SnapshotPhase phase) {
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setPhase(phase);
        status.setNodeName("n1");
        status.setPod(new ObjectName("web-0", POD_UID));
        snapshot.setStatus(status);
        return snapshot;
    }
}
