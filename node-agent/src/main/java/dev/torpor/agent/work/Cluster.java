package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * What the agent reads from the API, live: informers only tell it when to look. Every method throws the client's
 * exception if the API server does not answer.
 */
interface Cluster {
    Optional<VMSnapshot> snapshot(String namespace, String name);

    /** The object that an image was made for, as far as the informer knows. */
    Optional<VMSnapshot> snapshotOf(ImageId image);

    Optional<VMRestore> restore(String namespace, String name);

    /** The class's defaults; empty if there is no class of this name. */
    Optional<VMSnapshotClassSpec> snapshotClass(String name);

    /** What the class of snapshots that name none says, as far as the informer knows; asks nobody. */
    Optional<VMSnapshotClassSpec> defaultClass();

    /** Restores of a VM that are neither done nor given up, by a consistent read. */
    List<StartFacts.ActiveRestore> activeRestores(VmName vm);

    /** All restores of a VM that the operator has admitted, whatever became of them, by a consistent read. */
    List<VMRestore> restoresOf(VmName vm);

    /** All snapshots of a VM, by a consistent read. */
    List<VMSnapshot> snapshotsOf(VmName vm);

    /**
     * What a pod was made for.
     *
     * @param restoreUID UID of the VMRestore that it was made for or given to, as its annotation says
     */
    record LivePod(Optional<String> restoreUID) {}

    /** A pod of a VM, by a consistent read; empty if it is gone or is being deleted. */
    Optional<LivePod> livePod(VmName vm, String podUID);

    /** How a pod of a VM ends, by a consistent read; empty if it is gone. */
    Optional<TerminationDecision.PodEnd> podEnd(VmName vm, String podUID);

    /** Tells whether the kubelet says of its own node, which is this one, that it is being shut down; by a consistent read. */
    boolean nodeGoesDown();

    /** What the agents tell of their stores, by a consistent read. */
    List<NodeStore> nodeStores();

    /** Tells whether a pod with this name and UID exists and has not ended. */
    boolean podIsLive(String namespace, String name, String uid);

    /**
     * Says in a pod's condition {@code torpor.dev/guest-running} what its guest does; without effect on a pod that is gone, or
     * is another by now.
     *
     * @param changedAt when the condition turned True or False; empty if only its reason is new
     */
    void tellGuest(String namespace, String name, String podUID, GuestState state, Optional<Instant> changedAt);

    /** Removes the finalizer for the image, if the object is still as it was seen; false if it has changed. */
    boolean removeFinalizer(VMSnapshot seen);
}
