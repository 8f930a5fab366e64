package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import org.jspecify.annotations.Nullable;

/** A VM that an agent saves or has saved by itself, because its pod was terminated; or a file that was imported. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record TerminationSave(
        @JsonPropertyDescription("Namespace of the VM.") @Nullable
        String namespace,

        @JsonPropertyDescription("Name of the VM.") @Nullable
        String vmName,

        @JsonPropertyDescription("UID of the pod that was terminated.") @Nullable
        String podUID,

        @JsonPropertyDescription(
                "UID of the image: the pod's, and a part of its own for each try to save it. Absent: podUID.")
        @Nullable
        String imageUID,

        @JsonPropertyDescription("Whether the image is committed; false while it is being written.") @Nullable
        Boolean saved,

        @JsonPropertyDescription(
                "True if it is no VM's save, but a file of libvirt's that was imported on the node; podUID is then that of no pod.")
        @Nullable
        Boolean imported) {
    /** Tells whether this is of a VM. */
    public boolean isOf(String itsNamespace, String itsName) {
        return itsNamespace.equals(namespace) && itsName.equals(vmName);
    }

    /** Returns the UID of the image. */
    public String image() {
        return imageUID == null ? String.valueOf(podUID) : imageUID;
    }

    /**
     * Returns the name of the VMSnapshot that the operator makes for it: the VM's, the first 8 of the pod's UID, and what tells
     * its image from those of other tries.
     */
    public String snapshotName() {
        String pod = String.valueOf(podUID);
        String attempt = image().startsWith(pod) ? image().substring(pod.length()) : "";
        return PodSaveName.of(String.valueOf(vmName), pod) + attempt;
    }
}
