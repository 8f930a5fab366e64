package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;
import java.io.Serial;
import java.util.Collection;
import java.util.Comparator;
import java.util.Optional;

/** Defaults and policy for snapshots. */
@JsonClassDescription(
        "Defaults for the VMSnapshots that name it, or that name none if it is annotated torpor.dev/is-default-class: \"true\".")
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("VMSnapshotClass")
@Plural("vmsnapshotclasses")
@Singular("vmsnapshotclass")
@ShortNames("vmsnapclass")
@AdditionalPrinterColumn(name = "Default", jsonPath = ".metadata.annotations.torpor\\.dev/is-default-class")
@AdditionalPrinterColumn(
        name = "Channels",
        jsonPath = ".spec.parallel.channels",
        type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(
        name = "DirectIO",
        jsonPath = ".spec.parallel.directIO",
        type = AdditionalPrinterColumn.Type.BOOLEAN)
@AdditionalPrinterColumn(
        name = "Bandwidth",
        jsonPath = ".spec.bandwidthBytesPerSecond",
        type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(name = "Deletion", jsonPath = ".spec.deletionPolicy")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
public class VMSnapshotClass extends CustomResource<VMSnapshotClassSpec, Void> {
    @Serial
    private static final long serialVersionUID = 1L;

    /** Returns the class of snapshots that name none: the newest of those annotated as default, as for storage classes. */
    public static Optional<VMSnapshotClass> ofDefault(Collection<VMSnapshotClass> all) {
        return all.stream()
                .filter(candidate -> candidate.getMetadata().getAnnotations() != null
                        && "true"
                                .equals(candidate.getMetadata().getAnnotations().get(Torpor.DEFAULT_CLASS_ANNOTATION)))
                .max(Comparator.comparing((VMSnapshotClass c) -> c.getMetadata().getCreationTimestamp())
                        .thenComparing(c -> c.getMetadata().getName()));
    }

    // A spec is a record and has no empty form.
    @Override
    @SuppressWarnings("NullAway")
    protected VMSnapshotClassSpec initSpec() {
        return null;
    }
}
