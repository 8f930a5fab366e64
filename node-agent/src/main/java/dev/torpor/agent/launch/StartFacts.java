package dev.torpor.agent.launch;

import java.util.List;
import java.util.Optional;

/**
 * What is known when a pod asks how to start its VM.
 *
 * @param podUID the pod that asks
 * @param journal what this node knows of its VM
 * @param savedHere an image in this node's store that the VM is to go on from, if one waits
 * @param cluster what the API server says of it
 */
public record StartFacts(String podUID, VmRecord journal, Optional<SavedImage> savedHere, Cluster cluster) {
    /** What the API server says. */
    public sealed interface Cluster {}

    /** It does not answer. */
    public record Away() implements Cluster {}

    /** By a consistent read the pod that asks is gone, or is being deleted: its process ends soon. */
    public record PodGone() implements Cluster {}

    /**
     * A consistent read of this moment.
     *
     * @param restores restores of this VM that are neither done nor given up
     * @param saved images of this VM elsewhere, or missing here, that it is to go on from, and saves that may become such
     * @param restoreOfPod UID of the VMRestore that the pod was made for; empty for all other pods
     */
    public record Seen(List<ActiveRestore> restores, List<SavedImage> saved, Optional<String> restoreOfPod)
            implements Cluster {
        public Seen {
            restores = List.copyOf(restores);
            saved = List.copyOf(saved);
        }
    }

    /**
     * A restore under way.
     *
     * @param name of the VMRestore
     * @param uid of the VMRestore
     * @param podUID pod that the operator made for it, once it has
     */
    public record ActiveRestore(String name, String uid, Optional<String> podUID) {}

    /**
     * A managed image.
     *
     * @param snapshot name of its VMSnapshot, or what is known of it
     * @param where the image is, in words
     */
    public record SavedImage(String snapshot, String where) {}
}
