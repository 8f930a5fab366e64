package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.e2e.cluster.ControlPlane;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** One namespace with VMs, snapshots and restores, and what a test says and asks there. */
final class OperatorScene {
    /** How long to wait for what an operator does. */
    static final Duration TIMEOUT = Duration.ofMinutes(1);

    private final KubernetesClient client;
    private final String namespace;

    OperatorScene(ControlPlane cluster, String namespace) {
        this.client = cluster.client();
        this.namespace = namespace;
    }

    String namespace() {
        return namespace;
    }

    static VMSnapshotSpec save(String vm) {
        return spec(vm, SaveMode.Save, null, 300);
    }

    static VMSnapshotSpec spec(String vm, SaveMode mode, @Nullable String className, int deadlineSeconds) {
        return new VMSnapshotSpec(vm, mode, className, null, null, deadlineSeconds, null, null, null, null);
    }

    VMSnapshot create(String name, VMSnapshotSpec spec) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(
                new ObjectMetaBuilder().withNamespace(namespace).withName(name).build());
        snapshot.setSpec(spec);
        return client.resource(snapshot).create();
    }

    VMRestore create(String name, VMRestoreSpec spec) {
        VMRestore restore = new VMRestore();
        restore.setMetadata(
                new ObjectMetaBuilder().withNamespace(namespace).withName(name).build());
        restore.setSpec(spec);
        return client.resource(restore).create();
    }

    VMRestore restore(String name, String snapshotName) {
        return create(name, new VMRestoreSpec(snapshotName, null, null, null, null));
    }

    /** Creates a snapshot and plays the agent's part until it is Ready. */
    VMSnapshot readySnapshot(SimulatedNode node, SimulatedAgent agent, String name, String vm, SaveMode mode) {
        Pod pod = node.runVm(namespace, vm, vm + "-pod");
        create(name, spec(vm, mode, null, 300));
        agent.saved(awaitSnapshot(name, SnapshotPhase.Bound));
        if (mode == SaveMode.Save) {
            awaitSnapshot(name, SnapshotPhase.Saved);
            awaitTerminating(pod);
            node.finishTermination(pod);
        }
        return awaitSnapshot(name, SnapshotPhase.Ready);
    }

    VMSnapshot snapshot(String name) {
        return Objects.requireNonNull(
                client.resources(VMSnapshot.class)
                        .inNamespace(namespace)
                        .withName(name)
                        .get(),
                name);
    }

    VMRestore restore(String name) {
        return Objects.requireNonNull(
                client.resources(VMRestore.class)
                        .inNamespace(namespace)
                        .withName(name)
                        .get(),
                name);
    }

    VMSnapshot awaitSnapshot(String name, SnapshotPhase phase) {
        return awaitSnapshot(
                name,
                "phase " + phase,
                seen -> seen.getStatus() != null && seen.getStatus().getPhase() == phase);
    }

    VMSnapshot awaitSnapshot(String name, String what, Predicate<VMSnapshot> condition) {
        AtomicReference<VMSnapshot> seen = new AtomicReference<>();
        await().atMost(TIMEOUT).untilAsserted(() -> {
            seen.set(snapshot(name));
            assertThat(condition.test(seen.get()))
                    .as(
                            "%s: %s, but it is %s",
                            name, what, Serialization.asJson(seen.get().getStatus()))
                    .isTrue();
        });
        return seen.get();
    }

    VMRestore awaitRestore(String name, RestorePhase phase) {
        return awaitRestore(
                name,
                "phase " + phase,
                seen -> seen.getStatus() != null && seen.getStatus().getPhase() == phase);
    }

    VMRestore awaitRestore(String name, String what, Predicate<VMRestore> condition) {
        AtomicReference<VMRestore> seen = new AtomicReference<>();
        await().atMost(TIMEOUT).untilAsserted(() -> {
            seen.set(restore(name));
            assertThat(condition.test(seen.get()))
                    .as(
                            "%s: %s, but it is %s",
                            name, what, Serialization.asJson(seen.get().getStatus()))
                    .isTrue();
        });
        return seen.get();
    }

    /** Waits until a snapshot says that it is not Ready, for a reason, and returns its conditions. */
    List<Condition> awaitSnapshotReason(String name, String reason) {
        return conditions(awaitSnapshot(
                name,
                "reason " + reason,
                seen -> seen.getStatus() != null
                        && reason.equals(Conditions.reason(seen.getStatus().getConditions(), ConditionType.READY))));
    }

    /** Waits until a restore says that it is not Ready, for a reason, and returns its conditions. */
    List<Condition> awaitRestoreReason(String name, String reason) {
        return conditions(awaitRestore(
                name,
                "reason " + reason,
                seen -> seen.getStatus() != null
                        && reason.equals(Conditions.reason(seen.getStatus().getConditions(), ConditionType.READY))));
    }

    static List<Condition> conditions(VMSnapshot snapshot) {
        return Objects.requireNonNullElse(snapshot.getStatus().getConditions(), List.of());
    }

    static List<Condition> conditions(VMRestore restore) {
        return Objects.requireNonNullElse(restore.getStatus().getConditions(), List.of());
    }

    static ObjectName nameOf(Pod pod) {
        return new ObjectName(pod.getMetadata().getName(), pod.getMetadata().getUid());
    }

    void awaitTerminating(Pod pod) {
        await(pod.getMetadata().getName() + " is deleted")
                .atMost(TIMEOUT)
                .until(() -> pod(pod.getMetadata().getName()).getMetadata().getDeletionTimestamp() != null);
    }

    Pod pod(String name) {
        return Objects.requireNonNull(
                client.pods().inNamespace(namespace).withName(name).get(), name);
    }

    List<Pod> pods() {
        return client.pods().inNamespace(namespace).list().getItems();
    }

    /** Returns reasons of the Events about an object, in no order. */
    List<String> eventReasons(String objectName) {
        return events(objectName).stream().map(Event::getReason).toList();
    }

    List<Event> events(String objectName) {
        return client.v1().events().inNamespace(namespace).list().getItems().stream()
                .filter(event -> objectName.equals(event.getInvolvedObject().getName()))
                .toList();
    }

    /** Asserts that the work goes on or is tried again: kstatus InProgress. */
    static void assertInProgress(List<Condition> conditions, String reason, String message) {
        assertCondition(conditions, ConditionType.READY, "False", reason, message);
        assertCondition(conditions, ConditionType.RECONCILING, "True", reason, message);
        assertThat(Conditions.find(conditions, ConditionType.STALLED)).isEmpty();
    }

    /** Asserts a failure for good: kstatus Failed. */
    static void assertStalled(List<Condition> conditions, String reason, String message) {
        assertCondition(conditions, ConditionType.READY, "False", reason, message);
        assertCondition(conditions, ConditionType.STALLED, "True", reason, message);
        assertThat(Conditions.find(conditions, ConditionType.RECONCILING)).isEmpty();
    }

    private static void assertCondition(
            List<Condition> conditions, String type, String status, String reason, String message) {
        assertThat(Conditions.find(conditions, type)).hasValueSatisfying(condition -> {
            assertThat(condition.getStatus()).isEqualTo(status);
            assertThat(condition.getReason()).isEqualTo(reason);
            assertThat(condition.getMessage()).isEqualTo(message);
        });
    }
}
