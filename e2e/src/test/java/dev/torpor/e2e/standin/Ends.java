package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.LiveTree;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** What a user reads of a save or a restore that came to a bad end, whole. Messages are patterns; {@link #exactly} quotes. */
final class Ends {
    private Ends() {}

    static String exactly(String text) {
        return Pattern.quote(text);
    }

    /** Waits for a save's end by the agent's hand; the message is in every place that a user may look at. */
    static VMSnapshot saveFails(StandInCluster cluster, String name, FailureReason reason, String message) {
        VMSnapshot ended = saveIsRefused(cluster, name, reason, message);
        assertFailure(ended.getStatus().getFailure(), reason, message);
        assertCondition(ended.getStatus().getConditions(), ConditionType.SAVED, "False", reason, message);
        assertThat(ended.getStatus().getProgress()).isNull();
        assertThat(files(cluster, ended)).isEmpty();
        return ended;
    }

    /** Waits for a save's end by the operator's hand. */
    static VMSnapshot saveIsRefused(StandInCluster cluster, String name, FailureReason reason, String message) {
        VMSnapshot ended = cluster.awaitSnapshot(name, status -> isStalled(status.getConditions()));
        assertThat(ended.getStatus().getPhase())
                .isEqualTo(reason == FailureReason.Cancelled ? SnapshotPhase.Cancelled : SnapshotPhase.Failed);
        assertStalled(ended.getStatus().getConditions(), reason, message);
        return ended;
    }

    /** Waits for a restore's end by the agent's hand; no pod of the VM is left. */
    static VMRestore restoreFails(StandInCluster cluster, String name, FailureReason reason, String message) {
        VMRestore ended = restoreIsRefused(cluster, name, reason, message);
        assertFailure(ended.getStatus().getFailure(), reason, message);
        assertCondition(ended.getStatus().getConditions(), ConditionType.RESUMED, "False", reason, message);
        awaitNoPod(cluster, Objects.requireNonNull(ended.getStatus().getVmName()));
        return ended;
    }

    /** Waits for a restore's end by the operator's hand. */
    static VMRestore restoreIsRefused(StandInCluster cluster, String name, FailureReason reason, String message) {
        VMRestore ended = cluster.awaitRestore(
                name, restore -> isStalled(restore.getStatus().getConditions()));
        assertThat(ended.getStatus().getPhase()).isEqualTo(RestorePhase.Failed);
        assertStalled(ended.getStatus().getConditions(), reason, message);
        return ended;
    }

    /** Returns the files that the store has for a snapshot; its images are named like its UID. */
    static List<Path> files(StandInCluster cluster, VMSnapshot snapshot) {
        Path folder = cluster.store()
                .resolve("images")
                .resolve(cluster.namespace)
                .resolve(snapshot.getSpec().vmName());
        try {
            return LiveTree.files(folder).stream()
                    .filter(file -> file.getFileName()
                            .toString()
                            .startsWith(snapshot.getMetadata().getUid()))
                    .toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Waits until a VM has no pod. */
    static void awaitNoPod(StandInCluster cluster, String vm) {
        await("no pod of " + vm).atMost(StandInCluster.PATIENCE).until(() -> cluster.client
                .pods()
                .inNamespace(cluster.namespace)
                .withLabel(Torpor.VM_LABEL, vm)
                .list()
                .getItems()
                .isEmpty());
    }

    static void assertCondition(
            @Nullable List<Condition> conditions, String type, String status, FailureReason reason, String message) {
        assertThat(Conditions.find(conditions, type)).hasValueSatisfying(found -> {
            assertThat(found.getReason()).isEqualTo(reason.name());
            assertThat(found.getMessage()).matches(message);
            assertThat(found.getStatus()).isEqualTo(status);
        });
    }

    private static void assertFailure(@Nullable FailureStatus failure, FailureReason reason, String message) {
        assertThat(failure).isNotNull().satisfies(found -> {
            assertThat(found.reason()).isEqualTo(reason.name());
            assertThat(found.message()).matches(message);
        });
    }

    private static boolean isStalled(@Nullable List<Condition> conditions) {
        return Conditions.isTrue(conditions, ConditionType.STALLED);
    }

    private static void assertStalled(@Nullable List<Condition> conditions, FailureReason reason, String message) {
        assertCondition(conditions, ConditionType.STALLED, "True", reason, message);
        assertCondition(conditions, ConditionType.READY, "False", reason, message);
        assertThat(Conditions.isTrue(conditions, ConditionType.RECONCILING)).isFalse();
    }
}
