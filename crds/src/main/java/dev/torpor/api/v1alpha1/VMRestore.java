package dev.torpor.api.v1alpha1;

import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;
import java.io.Serial;

/** Brings a VM back from a VMSnapshot. */
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("VMRestore")
@Plural("vmrestores")
@Singular("vmrestore")
@ShortNames("vmrestore")
public class VMRestore extends CustomResource<VMRestoreSpec, VMRestoreStatus> implements Namespaced {
    @Serial
    private static final long serialVersionUID = 1L;

    // A spec is a record and has no empty form.
    @Override
    @SuppressWarnings("NullAway")
    protected VMRestoreSpec initSpec() {
        return null;
    }
}
