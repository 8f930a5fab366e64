package dev.torpor.e2e.api;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.ImageStatus;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.time.Instant;
import java.util.List;

/** Says of snapshots and restores what a node's agent would, and nothing else: each method writes its whole part. */
final class SimulatedAgent {
    private static final Instant START = Instant.parse("2026-01-02T03:04:05Z");

    private final KubernetesClient client;
    private final ApplyStatusWriter writer;

    SimulatedAgent(KubernetesClient client) {
        this.client = client;
        this.writer = new ApplyStatusWriter(client);
    }

    void saving(VMSnapshot snapshot, int percent) {
        VMSnapshotStatus own = begun(condition(ConditionType.SAVED, false, "Saving", "Memory is being written."));
        own.setProgress(new Progress(100L, (long) percent, percent, null, null, percent + "% of 100 B", null));
        write(snapshot, own);
    }

    void troubled(VMSnapshot snapshot, String reason, String message) {
        write(snapshot, begun(condition(ConditionType.SAVED, false, reason, message)));
    }

    void saved(VMSnapshot snapshot) {
        write(snapshot, committed(condition(ConditionType.IMAGE_AVAILABLE, true, "Committed", "")));
    }

    void imageIs(VMSnapshot snapshot, boolean available, String reason, String message) {
        write(snapshot, committed(condition(ConditionType.IMAGE_AVAILABLE, available, reason, message)));
    }

    void gaveUp(VMSnapshot snapshot, String reason, String message) {
        VMSnapshotStatus own = begun(condition(ConditionType.SAVED, false, reason, message));
        own.setFailure(new FailureStatus(reason, message));
        write(snapshot, own);
    }

    void imageChecked(VMRestore restore) {
        write(restore, restoring());
    }

    void loading(VMRestore restore) {
        write(restore, restoring(condition(ConditionType.RESUMED, false, "Loading", "QEMU loads the image.")));
    }

    void resumed(VMRestore restore) {
        VMRestoreStatus own = restoring(condition(ConditionType.RESUMED, true, "Running", "The guest runs."));
        own.setCompletionTime("2026-01-02T03:05:00Z");
        write(restore, own);
    }

    void gaveUp(VMRestore restore, String reason, String message) {
        VMRestoreStatus own = restoring();
        own.setFailure(new FailureStatus(reason, message));
        write(restore, own);
    }

    /** Removes the finalizer, as after the file. */
    void fileIsGone(VMSnapshot snapshot) {
        client.resource(snapshot).edit(object -> {
            object.getMetadata().getFinalizers().remove(Torpor.IMAGE_FINALIZER);
            return object;
        });
    }

    private static VMSnapshotStatus begun(Condition... conditions) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setStartTime(Conditions.time(START));
        own.setEngine("qemu-direct");
        own.setChannels(4);
        own.setConditions(List.of(conditions));
        return own;
    }

    private static VMSnapshotStatus committed(Condition image) {
        VMSnapshotStatus own =
                begun(condition(ConditionType.SAVED, true, "Committed", "The image is committed."), image);
        own.setImage(new ImageStatus("images/vms/web/uid.img", 4096L, 4096L, 1));
        own.setCompletionTime("2026-01-02T03:04:10Z");
        return own;
    }

    private static VMRestoreStatus restoring(Condition... more) {
        VMRestoreStatus own = new VMRestoreStatus();
        own.setStartTime(Conditions.time(START));
        own.setConditions(List.of(condition(ConditionType.IMAGE_AVAILABLE, true, "Checked", "")));
        for (Condition condition : more) {
            own.setConditions(Conditions.with(own.getConditions(), condition));
        }
        return own;
    }

    private void write(VMSnapshot snapshot, VMSnapshotStatus own) {
        require(writer.news(StatusOwner.SNAPSHOT_AGENT, snapshot, own));
    }

    private void write(VMRestore restore, VMRestoreStatus own) {
        require(writer.news(StatusOwner.RESTORE_AGENT, restore, own));
    }

    private static void require(WriteResult<?> result) {
        if (!(result instanceof WriteResult.Written<?>)) {
            throw new IllegalStateException("the agent's status was not written: " + result);
        }
    }

    private static Condition condition(String type, boolean status, String reason, String message) {
        return Conditions.next(null, type, status, reason, message, 1L, START);
    }
}
