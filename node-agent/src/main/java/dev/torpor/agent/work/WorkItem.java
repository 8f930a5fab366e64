package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.VmName;

/** Something to look at. */
sealed interface WorkItem {
    /** A VMSnapshot. */
    record Snapshot(String namespace, String name) implements WorkItem {}

    /** A VMRestore. */
    record Restore(String namespace, String name) implements WorkItem {}

    /** A pod whose launcher may be asking. */
    record Pod(VmName vm, String podUID) implements WorkItem {}

    /** An image that an earlier agent may not have been done with, of the QEMU in a pod. */
    record UnfinishedSave(VmName vm, String podUID, ImageId image) implements WorkItem {}

    /** A pod whose readiness gate asks whether its guest runs. */
    record Guest(VmName vm, String podUID) implements WorkItem {}

    /** A VM that may have to be saved, as its node goes down. */
    record NodeEnd(VmName vm, String podUID) implements WorkItem {}

    /** A pod whose QEMU is asked how much memory its VM has. */
    record Measure(VmName vm, String podUID) implements WorkItem {}
}
