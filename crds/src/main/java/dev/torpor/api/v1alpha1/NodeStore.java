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

/** The image store of a node, as its agent tells; named like the node. */
@JsonClassDescription(
        "The image store of a node, written by the node's agent and named like the node. Nobody else writes it; it goes with its Node.")
@Group(Torpor.GROUP)
@Version(Torpor.VERSION)
@Kind("NodeStore")
@Plural("nodestores")
@Singular("nodestore")
@ShortNames("nstore")
@AdditionalPrinterColumn(name = "Store", jsonPath = ".status.storeID")
@AdditionalPrinterColumn(name = "Images", jsonPath = ".status.images", type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(name = "Free", jsonPath = ".status.freeBytes", type = AdditionalPrinterColumn.Type.INTEGER)
@AdditionalPrinterColumn(name = "Agent", jsonPath = ".status.agentVersion")
@AdditionalPrinterColumn(
        name = "Age",
        jsonPath = ".metadata.creationTimestamp",
        type = AdditionalPrinterColumn.Type.DATE)
public class NodeStore extends CustomResource<Void, NodeStoreStatus> {
    @Serial
    private static final long serialVersionUID = 1L;

    // A status is a record and has no empty form.
    @Override
    @SuppressWarnings("NullAway")
    protected NodeStoreStatus initStatus() {
        return null;
    }
}
