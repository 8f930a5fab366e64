package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.TestNamespace;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.extension.ExtendWith;

/**
 * The real kubectl drain against a real API server with its controllers, and the operator's own process; nodes and their
 * agents are hollow.
 */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@TestInstance(Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class DrainIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    // Far below the minute after which what waits for a cordoned node looks by itself.
    private static final Duration WAKE_UP = Duration.ofSeconds(15);
    private static final String FLOOR = "Cannot evict pod as it would violate the pod's disruption budget.";

    private ControlPlane cluster;
    private String system;
    private int port;
    private OperatorUnderTest operator;
    private String namespace;
    private WebhookUnderTest configuration;
    private HollowAgent agent;
    private OperatorScene scene;
    private String node;
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();

    @BeforeAll
    void startOperator(ControlPlane shared) {
        cluster = shared;
        system = cluster.createNamespace("drain-system");
        port = FreePorts.take();
        operator = OperatorUnderTest.start(
                cluster,
                "--namespace",
                system,
                "--no-leader-election",
                "--webhook-port",
                Integer.toString(port),
                "--launcher-image",
                "torpor-launcher:local");
    }

    @AfterAll
    void endOperator() {
        operator.close();
    }

    @BeforeEach
    void start(@TestNamespace String own) {
        namespace = own;
        scene = new OperatorScene(cluster, namespace);
        configuration = open(WebhookUnderTest.configure(cluster, port, port, namespace));
        configuration.awaitInForce(namespace);
        node = newNode();
        agent = open(HollowAgent.start(cluster.client(), namespace));
    }

    @AfterEach
    void end() throws Exception {
        while (!opened.isEmpty()) {
            opened.pop().close();
        }
    }

    private <T extends AutoCloseable> T open(T resource) {
        opened.push(resource);
        return resource;
    }

    @Test
    void aDrainSavesTheVmsOfItsNodeAndEndsWithStatusZeroAndAnUncordonStartsThem() {
        String other = newNode();
        statefulSet("db", node);
        statefulSet("mail", node);
        bare("cache", node, "cache");
        plain("plain", node);
        statefulSet("away", other);
        List<String> before = uids("db-0", "mail-0", "cache");
        List<String> untouched = uids("away-0");
        awaitFloor();

        FutureTask<Kubectl.Result> drain = new FutureTask<>(() -> drain("--timeout=100s"));
        // On a thread of its own: the client needs the common pool, which may have one thread.
        Thread.ofPlatform().daemon().name("drain").start(drain);
        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(saves()).hasSize(3));
        agent.commit();
        Kubectl.Result result = result(drain);

        assertThat(result.output())
                .contains("denied the request: torpor: saving VM db: ")
                .contains("denied the request: torpor: saving VM cache: ")
                .contains("node/" + node + " drained");
        assertThat(result.code()).as(result.output()).isZero();
        awaitOthers(before, "db-0", "mail-0", "cache");
        for (String name : List.of("db-0", "mail-0", "cache")) {
            assertThat(scene.pod(name).getSpec().getSchedulingGates())
                    .as(name)
                    .extracting("name")
                    .containsExactly(Torpor.SAVED_GATE);
        }
        assertThat(scene.pods()).extracting(pod -> pod.getMetadata().getName()).doesNotContain("plain");
        assertThat(uids("away-0")).isEqualTo(untouched);
        assertThat(saves()).hasSize(3).allSatisfy(save -> {
            assertThat(save.getSpec().mode()).isEqualTo(SaveMode.ManagedSave);
            assertThat(save.getMetadata().getAnnotations()).containsEntry(Torpor.DRAIN_CAUSE_ANNOTATION, "Cordon");
        });

        List<String> gated = uids("db-0", "mail-0", "cache");
        assertThat(drain("--timeout=30s").code()).as("a second drain").isZero();
        assertThat(uids("db-0", "mail-0", "cache")).isEqualTo(gated);

        cluster.kubectl("uncordon", node);
        // Two at a time: the third waits until one of them runs.
        List<String> saved =
                saves().stream().map(save -> save.getMetadata().getName()).toList();
        await("starts, as the node wakes them").atMost(WAKE_UP).untilAsserted(() -> assertThat(cluster.client()
                        .resources(VMRestore.class)
                        .inNamespace(namespace)
                        .list()
                        .getItems())
                .extracting(restore -> restore.getSpec().snapshotName())
                .hasSize(2)
                .isSubsetOf(saved));
    }

    @Test
    void aDryRunEndsLikeTheDrainWouldAndDoesNothing() {
        statefulSet("db", node);
        bare("cache", node, "cache");
        List<String> before = uids("db-0", "cache");
        awaitFloor();

        Kubectl.Result result = drain("--dry-run=server", "--timeout=20s");

        assertThat(result.code()).as(result.output()).isZero();
        assertThat(result.output()).contains("drained (server dry run)");
        assertThat(saves()).isEmpty();
        assertThat(uids("db-0", "cache")).isEqualTo(before);

        // Wired by nobody, it could not be saved.
        cluster.client()
                .resource(new PodBuilder(manifest("lost", node, "lost"))
                        .editMetadata()
                        .addToAnnotations(Torpor.INJECT_ANNOTATION, "false")
                        .endMetadata()
                        .build())
                .create();
        awaitRunning("lost");
        Kubectl.Result blocked = drain("--dry-run=server", "--timeout=20s");
        assertThat(blocked.code()).isNotZero();
        assertThat(blocked.output())
                .contains("torpor: blocked: VM lost could not be saved: pod lost does not start QEMU");
        assertThat(saves()).isEmpty();
    }

    @Test
    void anUncordonInTheMiddleCancelsAndTheNextDrainSavesAnew() {
        statefulSet("db", node);
        List<String> before = uids("db-0");
        awaitFloor();
        assertThat(drain("--timeout=7s").output())
                .contains("denied the request: torpor: saving VM db: ", "global timeout reached");
        VMSnapshot first = scene.awaitSnapshot(onlySave(), SnapshotPhase.Saving);

        cluster.kubectl("uncordon", node);

        VMSnapshot cancelled = scene.awaitSnapshot(first.getMetadata().getName(), SnapshotPhase.Cancelled);
        assertThat(cancelled.getMetadata().getAnnotations()).containsEntry(Torpor.CANCELLED_BY_ANNOTATION, "drain");
        // Who has it cancelled tells of it afterwards.
        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(
                        scene.eventReasons(first.getMetadata().getName()))
                .contains("DrainEnded"));
        assertThat(uids("db-0")).isEqualTo(before);

        agent.commit();
        assertThat(drain("--timeout=60s").code()).isZero();
        assertThat(saves())
                .extracting(save -> save.getMetadata().getName())
                .containsExactlyInAnyOrder(
                        first.getMetadata().getName(),
                        first.getMetadata().getName().replaceAll("1$", "2"));
    }

    @Test
    void withTheWebhookDownADrainStallsAndNoVmIsTouched() {
        statefulSet("db", node);
        bare("cache", node, "cache");
        bare("sick", node, "sick");
        cluster.client().pods().inNamespace(namespace).withName("sick").editStatus(pod -> {
            pod.getStatus().getConditions().stream()
                    .filter(condition -> "Ready".equals(condition.getType()))
                    .forEach(condition -> condition.setStatus("False"));
            return pod;
        });
        List<String> before = uids("db-0", "cache", "sick");
        awaitFloor();
        configuration.loseEvictions(namespace);
        await("the webhook is away")
                .atMost(TIMEOUT)
                .untilAsserted(() -> assertThat(evict("cache").output()).contains(FLOOR));

        // A StatefulSet's, a bare one and one that is not ready: the mix that other budgets let through.
        await("the budget is computed").atMost(TIMEOUT).untilAsserted(() -> {
            var status = cluster.client()
                    .policy()
                    .v1()
                    .podDisruptionBudget()
                    .inNamespace(namespace)
                    .withName("torpor-vms")
                    .require()
                    .getStatus();
            assertThat(status.getExpectedPods()).isEqualTo(3);
            assertThat(status.getDisruptionsAllowed()).isZero();
        });
        for (String pod : List.of("db-0", "cache", "sick")) {
            assertThat(evict(pod).output()).as(pod).contains(FLOOR);
        }
        Kubectl.Result result = drain("--timeout=12s");

        assertThat(result.code()).isNotZero();
        assertThat(result.output())
                .contains("Cannot evict pod as it would violate the pod's disruption budget", "global timeout reached");
        assertThat(uids("db-0", "cache", "sick")).isEqualTo(before);
        assertThat(saves()).isEmpty();
    }

    @Test
    void aSecondBudgetIsReportedAndInTheWayOnlyWhileTheWebhookIsAway() {
        statefulSet("db", node);
        awaitFloor();
        cluster.kubectl("create", "pdb", "mine", "-n", namespace, "--selector=app=db", "--min-available=1");
        await("a warning").atMost(TIMEOUT).untilAsserted(() -> assertThat(scene.events("mine"))
                .singleElement()
                .satisfies(event -> {
                    assertThat(event.getReason()).isEqualTo("SecondBudget");
                    assertThat(event.getType()).isEqualTo("Warning");
                    assertThat(event.getMessage()).contains("PodDisruptionBudget mine selects pods of VMs (db-0)");
                }));
        assertThat(evict("db-0").output()).contains("torpor: saving VM db");

        configuration.loseEvictions(namespace);

        await("the webhook is away")
                .atMost(TIMEOUT)
                .untilAsserted(() -> assertThat(evict("db-0").output()).contains("more than one PodDisruptionBudget"));
        assertThat(scene.pod("db-0").getMetadata().getDeletionTimestamp()).isNull();
    }

    @Test
    void theFloorComesAndGoesWithTheVmsOfANamespace() {
        bare("cache", node, "cache");
        awaitFloor();
        cluster.kubectl("delete", "pdb", "torpor-vms", "-n", namespace);
        awaitFloor();
        cluster.kubectl("delete", "pod", "cache", "-n", namespace);
        await("it is gone").atMost(TIMEOUT).until(() -> floor() == null);
    }

    @Test
    void anAnnotationOfTheNodeSavesItsVmsWithoutADrainUntilItGoes() {
        statefulSet("db", node);
        List<String> before = uids("db-0");
        cluster.kubectl("cordon", node);
        cluster.kubectl("annotate", "node", node, Torpor.MAINTENANCE_ANNOTATION + "=bios");

        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(saves()).hasSize(1));
        VMSnapshot save = scene.awaitSnapshot(onlySave(), SnapshotPhase.Saving);
        assertThat(save.getMetadata().getAnnotations()).containsEntry(Torpor.DRAIN_CAUSE_ANNOTATION, "Maintenance");
        cluster.kubectl("annotate", "node", node, Torpor.MAINTENANCE_ANNOTATION + "-");
        scene.awaitSnapshot(onlySave(), SnapshotPhase.Cancelled);
        assertThat(uids("db-0")).isEqualTo(before);
        await().atMost(TIMEOUT)
                .untilAsserted(() -> assertThat(scene.eventReasons("db-0")).contains("DrainSaving"));
    }

    @Test
    void withoutEvictionsNothingIsAsked() {
        statefulSet("db", node);
        List<String> before = uids("db-0");
        awaitFloor();
        // Documented: a plain delete passes webhook and budget.
        assertThat(drain("--disable-eviction", "--timeout=60s").output()).contains("pod/db-0 deleted");
        awaitOthers(before, "db-0");
        assertThat(saves()).isEmpty();
    }

    private String newNode() {
        String name = "hollow-" + ThreadLocalRandom.current().nextInt(1_000_000);
        return open(HollowNode.start(cluster, system, name)).name();
    }

    private Kubectl.Result drain(String... more) {
        List<String> arguments =
                new ArrayList<>(List.of("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force"));
        arguments.addAll(List.of(more));
        return cluster.kubectl().tryRun(arguments.toArray(String[]::new));
    }

    private Kubectl.Result evict(String pod) {
        return cluster.kubectl()
                .tryWithInput(
                        """
                        {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "%s", "namespace": "%s"}}
                        """.formatted(pod, namespace),
                        "create",
                        "--raw",
                        "/api/v1/namespaces/%s/pods/%s/eviction".formatted(namespace, pod),
                        "-f",
                        "-");
    }

    private static Kubectl.Result result(FutureTask<Kubectl.Result> run) {
        try {
            return run.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private List<VMSnapshot> saves() {
        return cluster.client()
                .resources(VMSnapshot.class)
                .inNamespace(namespace)
                .list()
                .getItems();
    }

    private String onlySave() {
        assertThat(saves()).hasSize(1);
        return saves().getFirst().getMetadata().getName();
    }

    private List<String> uids(String... pods) {
        return List.of(pods).stream()
                .map(name -> scene.pod(name).getMetadata().getUid())
                .collect(Collectors.toList());
    }

    /** Waits until pods of these names are there again: their makers take a moment. */
    private void awaitOthers(List<String> before, String... pods) {
        await("other pods").atMost(TIMEOUT).ignoreExceptions().untilAsserted(() -> assertThat(uids(pods))
                .doesNotContainAnyElementsOf(before));
    }

    private void statefulSet(String vm, String onNode) {
        cluster.kubectl().runWithInput("""
                        apiVersion: apps/v1
                        kind: StatefulSet
                        metadata: {name: %1$s}
                        spec:
                          replicas: 1
                          serviceName: %1$s
                          updateStrategy: {type: OnDelete}
                          selector: {matchLabels: {app: %1$s}}
                          template:
                            metadata: {labels: {app: %1$s, torpor.dev/vm: %1$s}}
                            spec:
                              nodeSelector: {kubernetes.io/hostname: %2$s}
                              terminationGracePeriodSeconds: 1
                              containers:
                              - {name: qemu, image: vm, command: [qemu-system-x86_64], args: [-machine, pc-q35-10.0]}
                        """.formatted(vm, onNode), "apply", "-n", namespace, "-f", "-");
        awaitRunning(vm + "-0");
    }

    private void bare(String name, String onNode, String vm) {
        cluster.client().resource(manifest(name, onNode, vm)).create();
        awaitRunning(name);
    }

    private void plain(String name, String onNode) {
        cluster.client()
                .resource(new PodBuilder(manifest(name, onNode, name))
                        .editMetadata()
                        .withLabels(null)
                        .endMetadata()
                        .build())
                .create();
        awaitRunning(name);
    }

    private Pod manifest(String name, String onNode, String vm) {
        return new PodBuilder(WebhookUnderTest.vmPod(vm))
                .editMetadata()
                .withNamespace(namespace)
                .withName(name)
                .endMetadata()
                .editSpec()
                .addToNodeSelector("kubernetes.io/hostname", onNode)
                .withTerminationGracePeriodSeconds(1L)
                .endSpec()
                .build();
    }

    private void awaitRunning(String pod) {
        await(pod + " runs").atMost(TIMEOUT).ignoreExceptions().until(() -> "Running"
                .equals(scene.pod(pod).getStatus().getPhase()));
    }

    private void awaitFloor() {
        await("the budget").atMost(TIMEOUT).untilAsserted(() -> assertThat(floor())
                .satisfies(budget -> {
                    assertThat(budget).isNotNull();
                    assertThat(budget.getStatus()).isNotNull();
                    assertThat(budget.getStatus().getExpectedPods()).isPositive();
                }));
    }

    @org.jspecify.annotations.Nullable
    private PodDisruptionBudget floor() {
        return cluster.client()
                .policy()
                .v1()
                .podDisruptionBudget()
                .inNamespace(namespace)
                .withName("torpor-vms")
                .get();
    }
}
