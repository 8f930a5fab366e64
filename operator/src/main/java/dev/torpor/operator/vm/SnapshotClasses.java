package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.Optional;

/** Finds the class of a snapshot. What the class says is applied by the agent, where the snapshot's own fields win. */
public final class SnapshotClasses {
    private final KubernetesClient client;

    public SnapshotClasses(KubernetesClient client) {
        this.client = client;
    }

    /**
     * Returns the name of the class that a snapshot uses: the one it names; else the newest of those annotated as
     * default (as for storage classes); else none.
     *
     * @throws TorporException ClassNotFound if the one it names does not exist
     */
    public Optional<String> resolve(VMSnapshotSpec spec) throws TorporException {
        String named = spec.className();
        if (named != null) {
            if (client.resources(VMSnapshotClass.class).withName(named).get() == null) {
                throw new TorporException(
                        FailureReason.ClassNotFound,
                        "There is no VMSnapshotClass %s. Create it, or leave spec.className out. Nothing was done to the VM."
                                .formatted(named));
            }
            return Optional.of(named);
        }
        return ofDefault().map(candidate -> candidate.getMetadata().getName());
    }

    /** Returns what a class says; empty if there is none of that name. */
    public Optional<VMSnapshotClassSpec> spec(String name) {
        return Optional.ofNullable(
                        client.resources(VMSnapshotClass.class).withName(name).get())
                .map(VMSnapshotClass::getSpec);
    }

    /** Returns the class of snapshots that name none. */
    public Optional<VMSnapshotClass> ofDefault() {
        return VMSnapshotClass.ofDefault(
                client.resources(VMSnapshotClass.class).list().getItems());
    }
}
