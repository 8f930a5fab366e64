package dev.torpor.api.v1alpha1;

import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;
import java.io.Serial;

/** Defaults and policy for snapshots. */
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("VMSnapshotClass")
@Plural("vmsnapshotclasses")
@Singular("vmsnapshotclass")
@ShortNames("vmsnapclass")
public class VMSnapshotClass extends CustomResource<VMSnapshotClassSpec, Void> {
    @Serial
    private static final long serialVersionUID = 1L;

    // A spec is a record and has no empty form.
    @Override
    @SuppressWarnings("NullAway")
    protected VMSnapshotClassSpec initSpec() {
        return null;
    }
}
