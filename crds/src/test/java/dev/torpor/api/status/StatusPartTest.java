package dev.torpor.api.status;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.Condition;
import java.lang.reflect.Field;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;

class StatusPartTest {
    private static final Condition READY = condition(ConditionType.READY);
    private static final Condition SAVED = condition(ConditionType.SAVED);

    @Test
    void everyFieldOfStatusHasExactlyOneOwner() {
        assertOwned(VMSnapshotStatus.class, StatusOwner.SNAPSHOT_OPERATOR, StatusOwner.SNAPSHOT_AGENT);
        assertOwned(VMRestoreStatus.class, StatusOwner.RESTORE_OPERATOR, StatusOwner.RESTORE_AGENT);
    }

    @Test
    void partOfAnOwnerIsOnlyWhatItOwns() {
        VMSnapshotStatus both = new VMSnapshotStatus();
        both.setPhase(SnapshotPhase.Saving);
        both.setChannels(4);
        both.setConditions(List.of(SAVED, READY));
        VMSnapshotStatus operator = new VMSnapshotStatus();
        operator.setPhase(SnapshotPhase.Saving);
        operator.setConditions(List.of(READY));

        assertThat(StatusPart.of(StatusOwner.SNAPSHOT_OPERATOR, both))
                .isEqualTo(StatusPart.owned(StatusOwner.SNAPSHOT_OPERATOR, operator));
        assertThat(StatusPart.of(StatusOwner.SNAPSHOT_OPERATOR, null))
                .isEqualTo(StatusPart.owned(StatusOwner.SNAPSHOT_OPERATOR, new VMSnapshotStatus()));
    }

    @Test
    void foreignFieldOrConditionIsRefused() {
        VMSnapshotStatus field = new VMSnapshotStatus();
        field.setChannels(4);
        VMSnapshotStatus condition = new VMSnapshotStatus();
        condition.setConditions(List.of(SAVED));

        assertThatThrownBy(() -> StatusPart.owned(StatusOwner.SNAPSHOT_OPERATOR, field))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("torpor-operator does not own all of status fields [channels] and conditions []");
        assertThatThrownBy(() -> StatusPart.owned(StatusOwner.SNAPSHOT_OPERATOR, condition))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void nullsAreLeftOutAtEveryDepth() {
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setProgress(new Progress(100L, 50L, null, null, null, null, null));

        ObjectNode json = StatusPart.owned(StatusOwner.SNAPSHOT_AGENT, own).toJson();

        assertThat(json).hasToString("{\"progress\":{\"totalBytes\":100,\"doneBytes\":50}}");
    }

    private static void assertOwned(Class<?> status, StatusOwner<?, ?> one, StatusOwner<?, ?> other) {
        Set<String> both = new TreeSet<>(one.fields());
        both.addAll(other.fields());
        assertThat(both).hasSize(one.fields().size() + other.fields().size());
        assertThat(Arrays.stream(status.getDeclaredFields()).map(Field::getName).filter(n -> !n.equals("conditions")))
                .containsExactlyInAnyOrderElementsOf(both);
        assertThat(one.conditions()).doesNotContainAnyElementsOf(other.conditions());
    }

    private static Condition condition(String type) {
        return Conditions.next(null, type, true, "Because", "", 1L, Instant.EPOCH);
    }
}
