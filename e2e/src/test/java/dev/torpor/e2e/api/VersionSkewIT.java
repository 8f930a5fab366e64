package dev.torpor.e2e.api;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.node.TextNode;
import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.SaveMode;
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
import java.util.List;
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

    /** A phase that an operator does not know is on an object that it lists at its start, and is told of later. */
    @Test
    void anOlderOperatorWorksBesideObjectsOfANewerOne(ControlPlane cluster, @TestNamespace String namespace)
            throws IOException {
        applyNewerDefinition(cluster);
        inANewPhase(cluster, namespace, "listed", "n-of-a-newer-one");
        String system = cluster.createNamespace("skew-system");
        SimulatedAgent agent = new SimulatedAgent(cluster.client());
        OperatorScene scene = new OperatorScene(cluster, namespace);
        try (SimulatedNode node = SimulatedNode.create(cluster, system, "skew-1");
                OperatorUnderTest _ = OperatorUnderTest.start(cluster, system)) {
            scene.readySnapshot(node, agent, "first", "web", SaveMode.Checkpoint);
            inANewPhase(cluster, namespace, "watched", "n-of-a-newer-one");
            scene.readySnapshot(node, agent, "second", "db", SaveMode.Checkpoint);
        }
        for (String name : List.of("listed", "watched")) {
            assertThat(cluster.kubectl("get", "vmsnap", name, "-n", namespace, "-o", "jsonpath={.status.novelty}"))
                    .isEqualTo("unheard of");
        }
    }

    /** Makes an object that a newer operator has brought to a phase of its own. */
    static void inANewPhase(ControlPlane cluster, String namespace, String name, String node) {
        String object = SNAPSHOT.replace("name: snap", "name: " + name).replace("vmName: web", "vmName: of-" + name);
        cluster.kubectl().runWithInput(object, "create", "-n", namespace, "-f", "-");
        applyStatus(
                cluster,
                namespace,
                "newer-operator",
                object.replaceAll(
                        "spec:.*\n", "status: {phase: Novel, nodeName: " + node + ", novelty: unheard of}\n"));
    }

    private static VMSnapshot create(ControlPlane cluster, String namespace) {
        return cluster.client()
                .resource(Serialization.unmarshal(SNAPSHOT, VMSnapshot.class))
                .inNamespace(namespace)
                .create();
    }

    private static void newerAgentWrites(ControlPlane cluster, String namespace) {
        applyStatus(
                cluster,
                namespace,
                Torpor.AGENT_MANAGER,
                SNAPSHOT.replaceAll("spec:.*\n", "status: {channels: 3, novelty: unheard of}\n"));
    }

    private static void applyStatus(ControlPlane cluster, String namespace, String manager, String status) {
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
                                        "--force-conflicts",
                                        "--subresource=status",
                                        "--field-manager=" + manager,
                                        "-f",
                                        "-")
                                .code()
                        == 0);
    }

    /** The definition of a version to come: one more field in the status, and one more phase. */
    static void applyNewerDefinition(ControlPlane cluster) throws IOException {
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
        var status = requireNonNull(properties.get("status")).getProperties();
        status.put("novelty", text);
        requireNonNull(status.get("phase")).getEnum().add(TextNode.valueOf("Novel"));
        cluster.kubectl()
                .runWithInput(Serialization.asYaml(newer), "apply", "--server-side", "--force-conflicts", "-f", "-");
    }

    private static String field(ControlPlane cluster, String namespace, String path) {
        return cluster.kubectl("get", "vmsnap", "snap", "-n", namespace, "-o", "jsonpath={" + path + "}");
    }
}
