package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonPropertyDescription;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** A VM that an agent saves or has saved by itself, because its pod was terminated. */
@JsonIgnoreProperties(ignoreUnknown = true)
public record TerminationSave(
        @JsonPropertyDescription("Namespace of the VM.") @Nullable
        String namespace,

        @JsonPropertyDescription("Name of the VM.") @Nullable
        String vmName,

        @JsonPropertyDescription("UID of the pod that was terminated, which is the UID of the image too.") @Nullable
        String podUID,

        @JsonPropertyDescription("Whether the image is committed; false while it is being written.") @Nullable
        Boolean saved) {
    private static final int UID_CHARACTERS = 8;

    /** Tells whether this is of a VM. */
    public boolean isOf(String itsNamespace, String itsName) {
        return itsNamespace.equals(namespace) && itsName.equals(vmName);
    }

    /** Returns the name of the VMSnapshot that the operator makes for it: the VM's, and the first 8 of the pod's UID. */
    public String snapshotName() {
        String uid = String.valueOf(podUID);
        // A label takes letters and signs that a name does not; the UID keeps apart what becomes equal.
        String name = String.valueOf(vmName).toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "-");
        return name + "-" + uid.substring(0, Math.min(UID_CHARACTERS, uid.length()));
    }
}
