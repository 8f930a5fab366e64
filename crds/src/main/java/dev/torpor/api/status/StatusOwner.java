package dev.torpor.api.status;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.client.CustomResource;
import java.util.Set;

/**
 * Which fields and condition types of a kind's status one writer owns: the table that keeps operator and agents from
 * writing over each other. Every field of status has exactly one owner.
 *
 * @param kind the type of the object
 * @param manager field manager of the writes
 * @param fields names of the owned fields of status, {@code conditions} not among them
 * @param conditions types of the owned conditions
 * @param <R> type of the object
 * @param <S> type of its status
 */
public record StatusOwner<R extends CustomResource<?, S>, S>(
        Class<R> kind, String manager, Set<String> fields, Set<String> conditions) {

    /** The operator's part of a VMSnapshot. */
    public static final StatusOwner<VMSnapshot, VMSnapshotStatus> SNAPSHOT_OPERATOR = new StatusOwner<>(
            VMSnapshot.class,
            Torpor.OPERATOR_MANAGER,
            Set.of(
                    "observedGeneration",
                    "phase",
                    "className",
                    "nodeName",
                    "nodeUID",
                    "storeID",
                    "pod",
                    "podIP",
                    "manifestRevision",
                    "claims",
                    "volumeSnapshots",
                    "cancelRequested",
                    "consumedBy"),
            Set.of(ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.RESUMABLE));

    /** The agent's part of a VMSnapshot. */
    public static final StatusOwner<VMSnapshot, VMSnapshotStatus> SNAPSHOT_AGENT = new StatusOwner<>(
            VMSnapshot.class,
            Torpor.AGENT_MANAGER,
            Set.of(
                    "progress",
                    "engine",
                    "compression",
                    "channels",
                    "directIO",
                    "image",
                    "vm",
                    "startTime",
                    "completionTime",
                    "pausedAt",
                    "pausedSeconds",
                    "quiesced",
                    "verifiedTime",
                    "handledVerifyRequest",
                    "failure"),
            Set.of(
                    ConditionType.SAVED,
                    ConditionType.IMAGE_AVAILABLE,
                    ConditionType.VERIFIED,
                    ConditionType.SHUT_DOWN));

    /** The operator's part of a VMRestore. */
    public static final StatusOwner<VMRestore, VMRestoreStatus> RESTORE_OPERATOR = new StatusOwner<>(
            VMRestore.class,
            Torpor.OPERATOR_MANAGER,
            Set.of(
                    "observedGeneration",
                    "phase",
                    "nodeName",
                    "snapshotUID",
                    "imageUID",
                    "vmName",
                    "pod",
                    "podIP",
                    "savedPodIP"),
            Set.of(ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED));

    /** The agent's part of a VMRestore. */
    public static final StatusOwner<VMRestore, VMRestoreStatus> RESTORE_AGENT = new StatusOwner<>(
            VMRestore.class,
            Torpor.AGENT_MANAGER,
            Set.of(
                    "progress",
                    "strategy",
                    "strategyReason",
                    "startTime",
                    "completionTime",
                    "loadSeconds",
                    "residentSeconds",
                    "verifiedSeconds",
                    "guest",
                    "failure"),
            Set.of(ConditionType.IMAGE_AVAILABLE, ConditionType.RESUMED, ConditionType.VERIFIED));

    /** All of a NodeStore's status, the agent's. */
    public static final StatusOwner<NodeStore, NodeStoreStatus> NODE_STORE_AGENT = new StatusOwner<>(
            NodeStore.class,
            Torpor.AGENT_MANAGER,
            Set.of("storeID", "nodeUID", "freeBytes", "images", "agentVersion", "terminationSaves", "lastShutdown"),
            Set.of());

    public StatusOwner {
        fields = Set.copyOf(fields);
        conditions = Set.copyOf(conditions);
    }
}
