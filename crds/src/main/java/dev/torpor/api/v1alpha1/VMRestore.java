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

/** Brings a VM back from a VMSnapshot. */
@JsonClassDescription("Brings a VM back from a VMSnapshot.")
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("VMRestore")
@Plural("vmrestores")
@Singular("vmrestore")
@ShortNames("vmrest")
@AdditionalSelectableField(jsonPath = ".status.nodeName")
@AdditionalPrinterColumn(name = "Ready", jsonPath = ".status.conditions[?(@.type==\"Ready\")].status")
@AdditionalPrinterColumn(name = "Phase", jsonPath = ".status.phase")
@AdditionalPrinterColumn(name = "VM", jsonPath = ".status.vmName")
@AdditionalPrinterColumn(name = "Node", jsonPath = ".status.nodeName")
@AdditionalPrinterColumn(name = "Progress", jsonPath = ".status.progress.summary")
@AdditionalPrinterColumn(name = "Rate", jsonPath = ".status.progress.rate")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
@AdditionalPrinterColumn(name = "Snapshot", jsonPath = ".spec.snapshotName", priority = 1)
@AdditionalPrinterColumn(name = "Pod", jsonPath = ".status.pod.name", priority = 1)
@AdditionalPrinterColumn(name = "Strategy", jsonPath = ".status.strategy", priority = 1)
@AdditionalPrinterColumn(
        name = "Load",
        jsonPath = ".status.loadSeconds",
        type = AdditionalPrinterColumn.Type.NUMBER,
        priority = 1)
@AdditionalPrinterColumn(name = "Reason", jsonPath = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1)
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
