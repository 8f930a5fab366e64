package dev.torpor.api.v1alpha1;

import io.fabric8.kubernetes.api.model.ObjectMeta;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Objects that a backup tool brought back. To carry them out would be to save, and stop, a VM that nobody asked for today; so
 * they are told apart from requests.
 */
public final class Imported {
    /**
     * What tools leave on the objects that they restore, as label or annotation: Velero (labels of restored items), the
     * OpenShift plugin of Velero.
     */
    private static final List<String> MARKS =
            List.of("velero.io/restore-name", "velero.io/backup-name", "openshift.io/restore-server-version");

    private Imported() {}

    /** Returns the mark by which an object is known to be restored from a backup. */
    public static Optional<String> mark(ObjectMeta meta) {
        return MARKS.stream()
                .filter(mark -> Stream.of(
                                Optional.ofNullable(meta.getLabels()).orElse(Map.of()),
                                Optional.ofNullable(meta.getAnnotations()).orElse(Map.of()))
                        .anyMatch(map -> map.containsKey(mark)))
                .findFirst();
    }

    /**
     * Tells whether the status of a VMSnapshot was written for another object of its name, as a backup has it: the name of the
     * pod's record begins with the object's UID.
     */
    public static boolean hasStatusOfAnother(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status != null
                && status.getManifestRevision() != null
                && !status.getManifestRevision()
                        .startsWith(
                                Torpor.MANIFEST_PREFIX + snapshot.getMetadata().getUid());
    }

    /**
     * Tells whether the status of a VMRestore is one that a backup has: what is brought back is never given to a node, so that one
     * which says so was written for another object of its name.
     */
    public static boolean hasStatusOfAnother(VMRestore restore) {
        return restore.getStatus() != null
                && restore.getStatus().getNodeName() != null
                && mark(restore.getMetadata()).isPresent();
    }
}
