package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RunStatePolicy;
import dev.torpor.api.v1alpha1.VMRestore;
import java.time.Instant;
import java.util.Optional;

/** Restores as tests have them. */
final class RestoreViews {
    private RestoreViews() {}

    static RestoreView of(
            String uid, ImageId image, Optional<ObjectName> pod, boolean checked, boolean resumed, boolean failed) {
        return new RestoreView(
                new VMRestore(),
                "vms/" + uid,
                uid,
                image,
                pod,
                DisksPolicy.Unchanged,
                RunStatePolicy.AsSaved,
                Instant.EPOCH,
                300,
                checked,
                resumed,
                failed,
                false);
    }
}
