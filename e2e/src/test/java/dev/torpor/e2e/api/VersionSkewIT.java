package dev.torpor.e2e.api;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.apiextensions.v1.CustomResourceDefinition;
import io.fabric8.kubernetes.api.model.apiextensions.v1.JSONSchemaProps;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.time.Duration;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** One part is a version ahead of another, and the definitions are replaced while objects are there. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class VersionSkewIT {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final String SNAPSHOT = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshot
            metadata: {name: snap}
            spec: {vmName: web}
            """;

    @AfterEach
    void putBack(ControlPlane cluster) {
        cluster.applyCrds();
    }

    @Test
    void whatANewerAgentTellsSurvivesAnOlderOperator(ControlPlane cluster, @TestNamespace String namespace)
            throws IOException {
        applyNewerDefinition(cluster);
        VMSnapshot created = create(cluster, namespace);
        newerAgentWrites(cluster, namespace);

        VMSnapshotStatus bound = new VMSnapshotStatus();
        bound.setObservedGeneration(1L);
        bound.setPhase(SnapshotPhase.Bound);
        VMSnapshot read = cluster.client().resource(created).get();
        var result = new ApplyStatusWriter(cluster.client()).transition(StatusOwner.SNAPSHOT_OPERATOR, read, bound);

        assertThat(result).isInstanceOf(WriteResult.Written.class);
        assertThat(field(cluster, namespace, ".status.novelty")).isEqualTo("unheard of");
        assertThat(field(cluster, namespace, ".status.channels")).isEqualTo("3");
        assertThat(field(cluster, namespace, ".status.phase")).isEqualTo("Bound");
    }

    @Test
    void definitionsAreReplacedInPlaceForwardsAndBack(ControlPlane cluster, @TestNamespace String namespace)
            throws IOException {
        VMSnapshot created = create(cluster, namespace);

        applyNewerDefinition(cluster);
        newerAgentWrites(cluster, namespace);
        cluster.applyCrds();

        VMSnapshot read = cluster.client().resource(created).get();
        assertThat(read.getMetadata().getUid()).isEqualTo(created.getMetadata().getUid());
        assertThat(read.getSpec()).isEqualTo(created.getSpec());
        assertThat(read.getStatus().getChannels()).isEqualTo(3);
    }

    private static VMSnapshot create(ControlPlane cluster, String namespace) {
        return cluster.client()
                .resource(Serialization.unmarshal(SNAPSHOT, VMSnapshot.class))
                .inNamespace(namespace)
                .create();
    }

    private static void newerAgentWrites(ControlPlane cluster, String namespace) {
        String status = SNAPSHOT.replaceAll("spec:.*\n", "status: {channels: 3, novelty: unheard of}\n");
        // The API server knows the new field a moment after it has the definition.
        await("a write of the new field")
                .atMost(PATIENCE)
                .until(() -> cluster.kubectl()
                                .tryWithInput(
                                        status,
                                        "apply",
                                        "-n",
                                        namespace,
                                        "--server-side",
                                        "--subresource=status",
                                        "--field-manager=" + Torpor.AGENT_MANAGER,
                                        "-f",
                                        "-")
                                .code()
                        == 0);
    }

    /** The definition of a version to come: one more field in the status. */
    private static void applyNewerDefinition(ControlPlane cluster) throws IOException {
        String yaml = Files.readString(WorkTree.root().resolve("crds/manifests/vmsnapshots.torpor.dev.yaml"));
        CustomResourceDefinition newer = Serialization.unmarshal(yaml, CustomResourceDefinition.class);
        JSONSchemaProps text = new JSONSchemaProps();
        text.setType("string");
        var properties = newer.getSpec()
                .getVersions()
                .getFirst()
                .getSchema()
                .getOpenAPIV3Schema()
                .getProperties();
        requireNonNull(properties.get("status")).getProperties().put("novelty", text);
        cluster.kubectl().runWithInput(Serialization.asYaml(newer), "apply", "--server-side", "-f", "-");
    }

    private static String field(ControlPlane cluster, String namespace, String path) {
        return cluster.kubectl("get", "vmsnap", "snap", "-n", namespace, "-o", "jsonpath={" + path + "}");
    }
}
