package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.ApplyStatusWriter;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Kubectl;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowingConsumer;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What an agent may write and what not, with the token that the kubelet mounts into its pod. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class AgentRightsIT {
    private static final Instant NOW = Instant.parse("2026-01-02T03:04:05Z");
    private static final String SNAPSHOT = "vmsnapshot";
    private static final String RESTORE = "vmrestore";

    /** Fields of the operator that the objects of these tests do not have. */
    private static final Set<String> UNSET = Set.of("consumedBy", "cancelRequested", "claims", "volumeSnapshots");

    /** A value for each field of status that is the operator's, as JSON; other than {@link #bind} writes. */
    private static final Map<String, String> CHANGED = Map.ofEntries(
            Map.entry("observedGeneration", "7"),
            Map.entry("phase", "\"Failed\""),
            Map.entry("className", "\"other\""),
            Map.entry("nodeName", "\"n2\""),
            Map.entry("nodeUID", "\"other\""),
            Map.entry("storeID", "\"other\""),
            Map.entry("pod", "{\"name\":\"other\",\"uid\":\"other\"}"),
            Map.entry("manifestRevision", "\"torpor-other\""),
            Map.entry("claims", "[{\"name\":\"data\",\"uid\":\"other\"}]"),
            Map.entry("volumeSnapshots", "[{\"claimName\":\"data\",\"creationTime\":\"2026-01-02T03:04:05Z\"}]"),
            Map.entry("cancelRequested", "true"),
            Map.entry(
                    "consumedBy",
                    "{\"restoreName\":\"other\",\"podName\":\"other\",\"podUID\":\"other\",\"time\":\"now\"}"),
            Map.entry("podIP", "\"192.0.2.9\""),
            Map.entry("savedPodIP", "\"192.0.2.9\""),
            Map.entry("snapshotUID", "\"other\""),
            Map.entry("imageUID", "\"other\""),
            Map.entry("vmName", "\"other\""));

    private InstalledChart chart;
    private ControlPlane cluster;
    private KubernetesClient agent;
    private KubernetesClient otherAgent;
    private KubernetesClient unboundAgent;
    private String namespace;

    @BeforeAll
    void connect(InstalledChart chart) {
        this.chart = chart;
        this.cluster = chart.cluster();
        this.agent = cluster.connect(chart.agentOf(InstalledChart.NODE_1));
        this.otherAgent = cluster.connect(chart.agentOf(InstalledChart.NODE_2));
        this.unboundAgent = cluster.connect(chart.unboundAgent());
    }

    @BeforeEach
    void bindObjectsToTheFirstNode() {
        namespace = cluster.createNamespace("vms");
        bind(snapshot("web"));
        bind(restore("back"));
    }

    // Allowed.

    @Test
    void writesItsPartOfASnapshotOfItsNode() {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setEngine("qemu-direct");
        own.setConditions(List.of(condition(ConditionType.SAVED), condition(ConditionType.IMAGE_AVAILABLE)));

        var written = new ApplyStatusWriter(agent).transition(StatusOwner.SNAPSHOT_AGENT, seenSnapshot(), own);

        assertThat(written).isInstanceOf(WriteResult.Written.class);
        assertThat(seenSnapshot().getStatus().getEngine()).isEqualTo("qemu-direct");
        assertThat(seenSnapshot().getStatus().getNodeName()).isEqualTo(InstalledChart.NODE_1);
    }

    @Test
    void writesItsPartOfARestoreOfItsNode() {
        VMRestoreStatus own = new VMRestoreStatus();
        own.setStrategy("Eager");
        own.setConditions(List.of(condition(ConditionType.IMAGE_AVAILABLE), condition(ConditionType.RESUMED)));

        var written = new ApplyStatusWriter(agent).transition(StatusOwner.RESTORE_AGENT, seenRestore(), own);

        assertThat(written).isInstanceOf(WriteResult.Written.class);
        assertThat(seenRestore().getStatus().getStrategy()).isEqualTo("Eager");
    }

    @Test
    void removesTheFinalizerOfAnImageThatIsToGo() {
        patch(cluster.kubectl(), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":[\"torpor.dev/image\"]}}");
        cluster.kubectl("delete", "-n", namespace, SNAPSHOT, "web", "--wait=false");

        assertThat(patch(agentOf(InstalledChart.NODE_2), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":null}}"))
                .satisfies(refusedWith("the agent of node n2 may not touch VMSnapshot web, which is bound to node n1"));
        assertThat(patch(agentOf(InstalledChart.NODE_1), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":null}}"))
                .satisfies(AgentRightsIT::accepted);

        assertThat(cluster.client()
                        .resources(VMSnapshot.class)
                        .inNamespace(namespace)
                        .withName("web")
                        .get())
                .isNull();
    }

    // Refused.

    @ParameterizedTest
    @CsvSource({"vmsnapshot,web,VMSnapshot", "vmrestore,back,VMRestore"})
    void mayNotTouchObjectsOfAnotherNode(String resource, String name, String kind) {
        assertThat(patchStatus(otherAgent, resource, name, "{\"startTime\":\"now\"}"))
                .satisfies(refusedWith(
                        "the agent of node n2 may not touch %s %s, which is bound to node n1".formatted(kind, name)));
    }

    @Test
    void mayNotTouchAnObjectBeforeItIsBound() {
        snapshot("unbound");

        assertThat(patchStatus(agent, SNAPSHOT, "unbound", "{\"nodeName\":\"n1\"}"))
                .satisfies(refusedWith(
                        "the agent of node n1 may not touch VMSnapshot unbound, which is bound to no node yet"));
    }

    @ParameterizedTest
    @CsvSource({"vmsnapshot,web", "vmrestore,back"})
    void mayNotWriteWithATokenThatNamesNoNode(String resource, String name) {
        assertThat(patchStatus(unboundAgent, resource, name, "{\"startTime\":\"now\"}"))
                .satisfies(refusedWith("this token of torpor-agent names no node"));
    }

    static Stream<String> operatorsOfASnapshot() {
        return StatusOwner.SNAPSHOT_OPERATOR.fields().stream().sorted();
    }

    static Stream<String> operatorsOfARestore() {
        return StatusOwner.RESTORE_OPERATOR.fields().stream().sorted();
    }

    @ParameterizedTest
    @MethodSource("operatorsOfASnapshot")
    void mayNotChangeTheOperatorsFieldOfASnapshot(String field) {
        assertOperators(SNAPSHOT, "web", field);
    }

    @ParameterizedTest
    @MethodSource("operatorsOfARestore")
    void mayNotChangeTheOperatorsFieldOfARestore(String field) {
        assertOperators(RESTORE, "back", field);
    }

    private void assertOperators(String resource, String name, String field) {
        String value = Objects.requireNonNull(
                CHANGED.get(field), "field %s is new: add it here and to the chart's policy".formatted(field));
        String expected = "an agent may not change status.%s, which is the operator's".formatted(field);

        assertThat(patchStatus(agent, resource, name, "{\"%s\":%s}".formatted(field, value)))
                .satisfies(refusedWith(expected));
        if (!UNSET.contains(field)) {
            assertThat(patchStatus(agent, resource, name, "{\"%s\":null}".formatted(field)))
                    .satisfies(refusedWith(expected));
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.RESUMABLE})
    void mayNotWriteTheOperatorsConditions(String type) {
        assertThat(StatusOwner.SNAPSHOT_OPERATOR.conditions())
                .containsAll(StatusOwner.RESTORE_OPERATOR.conditions())
                .hasSize(4)
                .contains(type);
        String conditions = """
                {"conditions":[{"type":"%s","status":"True","reason":"Mine","message":"","lastTransitionTime":"2026-01-02T03:04:05Z"}]}""".formatted(type);
        String expected = "an agent may not change the conditions Ready, Reconciling, Stalled and Resumable";

        assertThat(patchStatus(agent, SNAPSHOT, "web", conditions)).satisfies(refusedWith(expected));
        assertThat(patchStatus(agent, RESTORE, "back", conditions)).satisfies(refusedWith(expected));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "{\"spec\":{\"deletionPolicy\":\"Retain\"}}|an agent may not change spec",
                "{\"metadata\":{\"labels\":{\"a\":\"b\"}}}|an agent may not change labels, annotations and owners",
                "{\"metadata\":{\"annotations\":{\"a\":\"b\"}}}|an agent may not change labels, annotations and owners",
                "{\"metadata\":{\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"name\":\"a\",\"uid\":\"b\"}]}}|an agent may not change labels, annotations and owners",
                "{\"metadata\":{\"finalizers\":[\"example.com/mine\"]}}|of finalizers an agent may only remove torpor.dev/image",
            })
    void mayNotChangeASnapshotItself(String change, String expected) {
        assertThat(patch(agentOf(InstalledChart.NODE_1), SNAPSHOT, "web", change))
                .satisfies(refusedWith(expected));
    }

    @Test
    void mayNotRemoveTheFinalizerOfAnImageThatIsWanted() {
        patch(cluster.kubectl(), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":[\"torpor.dev/image\"]}}");

        assertThat(patch(agentOf(InstalledChart.NODE_1), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":null}}"))
                .satisfies(refusedWith("of finalizers an agent may only remove torpor.dev/image, from an object that is"
                        + " being deleted"));
    }

    @Test
    void mayNotRemoveTheFinalizerOfSomebodyElse() {
        patch(
                cluster.kubectl(),
                SNAPSHOT,
                "web",
                "{\"metadata\":{\"finalizers\":[\"torpor.dev/image\",\"example.com/theirs\"]}}");
        cluster.kubectl("delete", "-n", namespace, SNAPSHOT, "web", "--wait=false");

        assertThat(patch(agentOf(InstalledChart.NODE_1), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":null}}"))
                .satisfies(refusedWith("of finalizers an agent may only remove torpor.dev/image"));
        assertThat(patch(
                        agentOf(InstalledChart.NODE_1),
                        SNAPSHOT,
                        "web",
                        "{\"metadata\":{\"finalizers\":[\"example.com/theirs\"]}}"))
                .satisfies(AgentRightsIT::accepted);
        patch(cluster.kubectl(), SNAPSHOT, "web", "{\"metadata\":{\"finalizers\":null}}");
    }

    @ParameterizedTest
    @CsvSource({
        "create vmsnapshots",
        "delete vmsnapshots",
        "update vmsnapshots",
        "deletecollection vmsnapshots",
        "patch vmrestores",
        "create vmrestores",
        "delete vmrestores",
        "patch vmsnapshotclasses",
        "delete nodestores",
        "create pods",
        "delete pods",
        "patch pods",
        "create pods/exec",
        "create pods/eviction",
        "get secrets",
        "list configmaps",
        "create controllerrevisions.apps",
        "get controllerrevisions.apps",
        "patch nodes",
        "list nodes",
        "create serviceaccounts/token",
        "stop vmsnapshots",
        "restore vmsnapshots",
        "create events",
        "impersonate users",
        "get leases.coordination.k8s.io",
        "delete leases.coordination.k8s.io"
    })
    void hasNoRightTo(String verbAndResource) {
        String[] words = verbAndResource.split("[ /]", 3);
        String subresource = words.length == 3 ? words[2] : "";

        Kubectl.Result answer = agentOf(InstalledChart.NODE_1)
                .tryRun(
                        "auth",
                        "can-i",
                        words[0],
                        words[1],
                        "--subresource=" + subresource,
                        "-n",
                        InstalledChart.NAMESPACE);

        assertThat(answer.output().strip().lines().toList().getLast()).isEqualTo("no");
    }

    // Were RBAC ever wider than the chart has it, the policies would still hold.

    @Test
    void mayNeitherCreateNorDeleteEvenIfItHadTheRight() throws Exception {
        try (AutoCloseable _ = chart.allRightsToAgents()) {
            Kubectl mighty = agentOf(InstalledChart.NODE_1);
            assertThat(mighty.tryRun("delete", "-n", namespace, SNAPSHOT, "web"))
                    .satisfies(refusedWith("an agent may neither create nor delete a VMSnapshot"));
            assertThat(mighty.tryRun("delete", "-n", namespace, RESTORE, "back"))
                    .satisfies(refusedWith("an agent may neither create nor delete a VMRestore"));
            assertThat(applyStore(mighty, "n1")).satisfies(AgentRightsIT::accepted);
            assertThat(mighty.tryRun("delete", "nodestore", "n1"))
                    .satisfies(refusedWith("an agent may not delete a NodeStore"));
            assertThat(mighty.tryWithInput("""
                            apiVersion: torpor.dev/v1alpha1
                            kind: VMSnapshot
                            metadata: {name: mine, namespace: %s}
                            spec: {vmName: web, mode: Checkpoint}
                            """.formatted(namespace), "create", "-f", "-"))
                    .satisfies(refusedWith("an agent may neither create nor delete a VMSnapshot"));
            assertThat(patch(mighty, RESTORE, "back", "{\"metadata\":{\"finalizers\":[\"example.com/mine\"]}}"))
                    .satisfies(refusedWith("an agent may not change the finalizers of a VMRestore"));
            assertThat(mighty.tryWithInput(
                            Leases.manifest(InstalledChart.NAMESPACE, "torpor-n2"),
                            "apply",
                            "--server-side",
                            "-f",
                            "-"))
                    .satisfies(refusedWith(Leases.refusal(InstalledChart.NAMESPACE, "torpor-n2")));
            assertThat(applyLease(mighty, "torpor-n1")).satisfies(AgentRightsIT::accepted);
            assertThat(mighty.tryRun("delete", "-n", InstalledChart.NAMESPACE, "lease", "torpor-n1"))
                    .satisfies(refusedWith("an agent may not delete a Lease"));
        }
    }

    // Leases.

    private static final class Leases {
        static String manifest(String namespace, String name) {
            return """
                    apiVersion: coordination.k8s.io/v1
                    kind: Lease
                    metadata: {name: %s, namespace: %s}
                    spec: {holderIdentity: x}
                    """.formatted(name, namespace);
        }

        static String refusal(String namespace, String name) {
            return "the agent of node n1 may write no Lease but torpor-n1 in namespace %s, not %s/%s"
                    .formatted(InstalledChart.NAMESPACE, namespace, name);
        }
    }

    @Test
    void writesTheLeaseOfItsNodeAndNoOther() {
        Kubectl kubectl = agentOf(InstalledChart.NODE_1);
        assertThat(applyLease(kubectl, "torpor-n1")).satisfies(AgentRightsIT::accepted);
        assertThat(applyLease(kubectl, "torpor-n1")).as("again").satisfies(AgentRightsIT::accepted);

        assertThat(applyLease(kubectl, "torpor-n2"))
                .satisfies(refusedWith(Leases.refusal(InstalledChart.NAMESPACE, "torpor-n2")));
        assertThat(applyLease(kubectl, "torpor-operator"))
                .satisfies(refusedWith(Leases.refusal(InstalledChart.NAMESPACE, "torpor-operator")));
        assertThat(applyLease(chart.kubectlOf(chart.unboundAgent()), "torpor-n1"))
                .satisfies(refusedWith("this token of torpor-agent names no node"));
    }

    private static Kubectl.Result applyLease(Kubectl kubectl, String name) {
        return kubectl.tryWithInput(
                Leases.manifest(InstalledChart.NAMESPACE, name),
                "apply",
                "--server-side",
                "--force-conflicts",
                "-f",
                "-");
    }

    // NodeStores.

    @Test
    void tellsOfItsOwnStoreAndOfNoOther() {
        Kubectl kubectl = agentOf(InstalledChart.NODE_1);
        String own = "the agent of node n1 may write no NodeStore but its own, not n2";
        assertThat(applyStore(kubectl, "n1")).satisfies(AgentRightsIT::accepted);
        assertThat(applyStore(kubectl, "n1")).as("again").satisfies(AgentRightsIT::accepted);
        assertThat(patchStoreStatus(agent, "n1")).satisfies(AgentRightsIT::accepted);

        assertThat(applyStore(kubectl, "n2")).satisfies(refusedWith(own));
        assertThat(applyStore(agentOf(InstalledChart.NODE_2), "n2")).satisfies(AgentRightsIT::accepted);
        assertThat(applyStore(kubectl, "n2")).as("one that is there").satisfies(refusedWith(own));
        assertThat(patchStoreStatus(agent, "n2")).satisfies(refusedWith(own));

        assertThat(applyStore(chart.kubectlOf(chart.unboundAgent()), "n1"))
                .satisfies(refusedWith("this token of torpor-agent names no node"));
        assertThat(patchStoreStatus(unboundAgent, "n1"))
                .satisfies(refusedWith("this token of torpor-agent names no node"));
    }

    private static Kubectl.Result applyStore(Kubectl kubectl, String name) {
        return kubectl.tryWithInput("""
                        apiVersion: torpor.dev/v1alpha1
                        kind: NodeStore
                        metadata: {name: %s, labels: {tried: "yes"}}
                        """.formatted(name), "apply", "--server-side", "--force-conflicts", "-f", "-");
    }

    private static Kubectl.Result patchStoreStatus(KubernetesClient client, String name) {
        return tried(() -> client.resources(NodeStore.class)
                .withName(name)
                .subresource("status")
                .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"status\":{\"images\":3}}"));
    }

    // What the tests are made of.

    private Kubectl agentOf(String node) {
        return chart.kubectlOf(chart.agentOf(node));
    }

    private VMSnapshot snapshot(String name) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withNamespace(namespace).withName(name).build());
        snapshot.setSpec(OperatorScene.spec("web", SaveMode.Checkpoint, null, 300));
        return cluster.client().resource(snapshot).create();
    }

    private VMRestore restore(String name) {
        VMRestore restore = new VMRestore();
        restore.setMetadata(
                new ObjectMetaBuilder().withNamespace(namespace).withName(name).build());
        restore.setSpec(new VMRestoreSpec("web", null, null, null, null));
        return cluster.client().resource(restore).create();
    }

    private void bind(VMSnapshot snapshot) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setObservedGeneration(1L);
        own.setPhase(SnapshotPhase.Bound);
        own.setClassName("careful");
        own.setNodeName(InstalledChart.NODE_1);
        own.setNodeUID("uid");
        own.setStoreID("store");
        own.setPod(new ObjectName("web", "uid"));
        own.setPodIP("192.0.2.1");
        own.setManifestRevision("torpor-1");
        own.setConditions(List.of(condition(ConditionType.READY), condition(ConditionType.RECONCILING)));
        assertThat(new ApplyStatusWriter(cluster.client()).transition(StatusOwner.SNAPSHOT_OPERATOR, snapshot, own))
                .isInstanceOf(WriteResult.Written.class);
    }

    private void bind(VMRestore restore) {
        VMRestoreStatus own = new VMRestoreStatus();
        own.setObservedGeneration(1L);
        own.setPhase(RestorePhase.Starting);
        own.setNodeName(InstalledChart.NODE_1);
        own.setSnapshotUID("uid");
        own.setImageUID("image");
        own.setVmName("web");
        own.setPod(new ObjectName("web", "uid"));
        own.setPodIP("192.0.2.1");
        own.setSavedPodIP("192.0.2.2");
        own.setConditions(List.of(condition(ConditionType.READY), condition(ConditionType.RECONCILING)));
        assertThat(new ApplyStatusWriter(cluster.client()).transition(StatusOwner.RESTORE_OPERATOR, restore, own))
                .isInstanceOf(WriteResult.Written.class);
    }

    private static Condition condition(String type) {
        return Conditions.next(null, type, false, "Testing", "", 1L, NOW);
    }

    private VMSnapshot seenSnapshot() {
        return Objects.requireNonNull(agent.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName("web")
                .get());
    }

    private VMRestore seenRestore() {
        return Objects.requireNonNull(agent.resources(VMRestore.class)
                .inNamespace(namespace)
                .withName("back")
                .get());
    }

    // Not by kubectl, which reads the subresource first: agents may not, and need not.
    private Kubectl.Result patchStatus(KubernetesClient client, String resource, String name, String status) {
        Class<? extends HasMetadata> kind = resource.equals(SNAPSHOT) ? VMSnapshot.class : VMRestore.class;
        return tried(() -> client.resources(kind)
                .inNamespace(namespace)
                .withName(name)
                .subresource("status")
                .patch(PatchContext.of(PatchType.JSON_MERGE), "{\"status\":" + status + "}"));
    }

    private static Kubectl.Result tried(Runnable write) {
        try {
            write.run();
            return new Kubectl.Result(0, "written");
        } catch (KubernetesClientException e) {
            return new Kubectl.Result(1, e.getStatus().getReason() + ": " + e.getMessage());
        }
    }

    private Kubectl.Result patch(Kubectl kubectl, String resource, String name, String change) {
        return kubectl.tryRun("patch", resource, name, "-n", namespace, "--type=merge", "-p", change);
    }

    private static void accepted(Kubectl.Result result) {
        assertThat(result.code()).as(result.output()).isZero();
    }

    private static ThrowingConsumer<Kubectl.Result> refusedWith(String message) {
        return result -> {
            assertThat(result.output()).contains(message).contains("Forbidden");
            assertThat(result.code()).isNotZero();
        };
    }
}
