package dev.torpor.api.v1alpha1;

import com.fasterxml.jackson.annotation.JsonClassDescription;
import io.fabric8.crd.generator.annotation.AdditionalPrinterColumn;
import io.fabric8.crd.generator.annotation.AdditionalSelectableField;
import io.fabric8.kubernetes.api.model.Namespaced;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.model.annotation.Group;
import io.fabric8.kubernetes.model.annotation.Kind;
import io.fabric8.kubernetes.model.annotation.Plural;
import io.fabric8.kubernetes.model.annotation.ShortNames;
import io.fabric8.kubernetes.model.annotation.Singular;
import io.fabric8.kubernetes.model.annotation.Version;
import java.io.Serial;
import java.util.Optional;

/** Saves the memory of one running VM to an image on its node. */
@JsonClassDescription("Saves the memory of one running VM to an image on its node.")
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("VMSnapshot")
@Plural("vmsnapshots")
@Singular("vmsnapshot")
@ShortNames("vmsnap")
@AdditionalSelectableField(jsonPath = ".status.nodeName")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.conditions[?(@.type==\"Ready\")].status")
@AdditionalPrinterColumn(name = "Phase", jsonPath = ".status.phase")
@AdditionalPrinterColumn(name = "VM", jsonPath = ".spec.vmName")
@AdditionalPrinterColumn(name = "Node", jsonPath = ".status.nodeName")
@AdditionalPrinterColumn(name = "Progress", jsonPath = ".status.progress.summary")
@AdditionalPrinterColumn(name = "Rate", jsonPath = ".status.progress.rate")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(name = "Size", jsonPath = ".status.image.size", priority = 1)
@AdditionalPrinterColumn(name = "Engine", jsonPath = ".status.engine", priority = 1)
@AdditionalPrinterColumn(
        name = "Channels",
        jsonPath = ".status.channels",
        type = AdditionalPrinterColumn.Type.INTEGER,
        priority = 1)
@AdditionalPrinterColumn(
        name = "Paused",
        jsonPath = ".status.pausedSeconds",
        type = AdditionalPrinterColumn.Type.NUMBER,
        priority = 1)
@AdditionalPrinterColumn(name = "Reason", jsonPath = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1)
public class VMSnapshot extends CustomResource<VMSnapshotSpec, VMSnapshotStatus> implements Namespaced {
    @Serial
    private static final long serialVersionUID = 1L;

    // A spec is a record and has no empty form.
    @Override
    @SuppressWarnings("NullAway")
    protected VMSnapshotSpec initSpec() {
        return null;
    }

    /** Returns the image that it stands for, if an agent made that by itself: then there is nothing to save. */
    public Optional<String> adoptedImage() {
        return Optional.ofNullable(getSpec().source()).map(SourceSpec::imageUID);
    }
}
