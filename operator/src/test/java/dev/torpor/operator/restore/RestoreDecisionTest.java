package dev.torpor.operator.restore;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The table of decisions: each situation, what is done, and what status says then. */
class RestoreDecisionTest {
    private static final Instant CREATED = Instant.parse("2026-01-02T03:04:05Z");
    private static final Instant NOW = CREATED.plusSeconds(30);
    private static final Instant LATE = CREATED.plusSeconds(300);
    private static final ObjectName POD = new ObjectName("web-pod", "u2");
    private static final Pod MANIFEST = TestPods.running("web-pod", "u1").build();
    private static final StoreState ALIVE = new StoreState.Alive("node-uid", "store");
    private static final StoreState AWAY = new StoreState.Away("m");
    private static final RestoreSituation.Admissible ADMISSIBLE = new RestoreSituation.Admissible(
            new RestoreSituation.Binding("n1", "s1", "s1", "web", Optional.of("192.0.2.1")));

    static Stream<Arguments> statusOfEachSituation() {
        return Stream.of(
                Arguments.of(
                        new RestoreSituation.Refused(FailureReason.SnapshotNotFound, "m"),
                        RestorePhase.Pending,
                        "False",
                        "SnapshotNotFound",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.Refused(FailureReason.VMRunning, "m"),
                        RestorePhase.Failed,
                        "False",
                        "VMRunning",
                        false,
                        true),
                Arguments.of(ADMISSIBLE, RestorePhase.Starting, "False", "CheckingImage", true, false),
                Arguments.of(
                        new RestoreSituation.CheckingImage(ALIVE),
                        RestorePhase.Starting,
                        "False",
                        "CheckingImage",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.CheckingImage(AWAY),
                        RestorePhase.Starting,
                        "False",
                        "StoreUnavailable",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.CheckingImage(new StoreState.NodeGone("m")),
                        RestorePhase.Failed,
                        "False",
                        "NodeGone",
                        false,
                        true),
                Arguments.of(
                        new RestoreSituation.PodHindered(FailureReason.NodeUnschedulable, "m"),
                        RestorePhase.Starting,
                        "False",
                        "NodeUnschedulable",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.PodStarting(POD, ALIVE),
                        RestorePhase.Starting,
                        "False",
                        "StartingPod",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.Loading(POD, ALIVE),
                        RestorePhase.Loading,
                        "False",
                        "Loading",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.Loading(POD, AWAY),
                        RestorePhase.Loading,
                        "False",
                        "StoreUnavailable",
                        true,
                        false),
                Arguments.of(
                        new RestoreSituation.Resumed(RestoreReason.Running, Optional.of("192.0.2.2")),
                        RestorePhase.Running,
                        "True",
                        "Running",
                        false,
                        false),
                Arguments.of(
                        new RestoreSituation.Resumed(RestoreReason.Paused, Optional.of("192.0.2.2")),
                        RestorePhase.Running,
                        "True",
                        "Paused",
                        false,
                        false),
                Arguments.of(
                        new RestoreSituation.Resumed(RestoreReason.Ended, Optional.of("192.0.2.2")),
                        RestorePhase.Running,
                        "True",
                        "Ended",
                        false,
                        false),
                Arguments.of(
                        new RestoreSituation.Resumed(RestoreReason.NotContinued, Optional.of("192.0.2.2")),
                        RestorePhase.Running,
                        "False",
                        "NotContinued",
                        false,
                        false),
                Arguments.of(
                        new RestoreSituation.Failed("LoadFailed", "m", Optional.of(POD)),
                        RestorePhase.Failed,
                        "False",
                        "LoadFailed",
                        false,
                        true));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void statusOfEachSituation(
            RestoreSituation situation,
            RestorePhase phase,
            String ready,
            String reason,
            boolean reconciling,
            boolean stalled) {
        VMRestoreStatus own = own(RestoreDecision.decide(restore(), situation, NOW));

        assertThat(own.getPhase()).isEqualTo(phase);
        assertThat(own.getObservedGeneration()).isEqualTo(1L);
        assertThat(Conditions.find(own.getConditions(), ConditionType.READY)).hasValueSatisfying(condition -> {
            assertThat(condition.getStatus()).isEqualTo(ready);
            assertThat(condition.getReason()).isEqualTo(reason);
        });
        assertThat(Conditions.isTrue(own.getConditions(), ConditionType.RECONCILING))
                .isEqualTo(reconciling);
        assertThat(Conditions.isTrue(own.getConditions(), ConditionType.STALLED))
                .isEqualTo(stalled);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("statusOfEachSituation")
    void decidingAgainChangesNothing(RestoreSituation situation) {
        VMRestore once = restore();
        once.setStatus(own(RestoreDecision.decide(once, situation, NOW)));

        assertThat(own(RestoreDecision.decide(once, situation, NOW.plusSeconds(5))))
                .usingRecursiveComparison()
                .isEqualTo(once.getStatus());
    }

    static Stream<Arguments> actionOfEachSituation() {
        return Stream.of(
                Arguments.of(new RestoreSituation.Ended(), new RestoreAction.Nothing()),
                Arguments.of(ADMISSIBLE, new RestoreAction.Nothing()),
                Arguments.of(new RestoreSituation.CheckingImage(ALIVE), new RestoreAction.Nothing()),
                Arguments.of(new RestoreSituation.PodMissing(MANIFEST), new RestoreAction.CreatePod(MANIFEST)),
                Arguments.of(new RestoreSituation.PodStarting(POD, ALIVE), new RestoreAction.Nothing()),
                Arguments.of(new RestoreSituation.Loading(POD, ALIVE), new RestoreAction.Nothing()),
                Arguments.of(
                        new RestoreSituation.Resumed(RestoreReason.Running, Optional.of("192.0.2.2")),
                        new RestoreAction.Nothing()),
                Arguments.of(
                        new RestoreSituation.Failed("LoadFailed", "m", Optional.of(POD)),
                        new RestoreAction.DeletePod(POD)),
                Arguments.of(
                        new RestoreSituation.Failed("LoadFailed", "m", Optional.empty()), new RestoreAction.Nothing()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void actionOfEachSituation(RestoreSituation situation, RestoreAction action) {
        assertThat(RestoreDecision.decide(restore(), situation, NOW).action()).isEqualTo(action);
    }

    @Test
    void bindingAndPodAreCarriedOver() {
        VMRestore seen = restore();
        seen.setStatus(own(RestoreDecision.decide(seen, ADMISSIBLE, NOW)));
        seen.setStatus(own(RestoreDecision.decide(seen, new RestoreSituation.PodStarting(POD, ALIVE), NOW)));

        VMRestoreStatus own = own(RestoreDecision.decide(
                seen, new RestoreSituation.Resumed(RestoreReason.Running, Optional.of("192.0.2.2")), NOW));

        assertThat(own.getNodeName()).isEqualTo("n1");
        assertThat(own.getSnapshotUID()).isEqualTo("s1");
        assertThat(own.getVmName()).isEqualTo("web");
        assertThat(own.getPod()).isEqualTo(POD);
        assertThat(own.getSavedPodIP()).isEqualTo("192.0.2.1");
        assertThat(own.getPodIP()).isEqualTo("192.0.2.2");
    }

    @Test
    void troubleOfTheAgentIsPassedOn() {
        VMRestore seen = restore();
        VMRestoreStatus bound = own(RestoreDecision.decide(seen, ADMISSIBLE, NOW));
        bound.setConditions(Conditions.with(
                bound.getConditions(),
                Conditions.next(null, ConditionType.RESUMED, false, "SocketMissing", "There is no socket.", 1L, NOW)));
        seen.setStatus(bound);

        VMRestoreStatus own = own(RestoreDecision.decide(seen, new RestoreSituation.PodStarting(POD, ALIVE), NOW));

        assertThat(Conditions.find(own.getConditions(), ConditionType.READY)).hasValueSatisfying(ready -> {
            assertThat(ready.getReason()).isEqualTo("SocketMissing");
            assertThat(ready.getMessage()).isEqualTo("There is no socket.");
        });
    }

    @Test
    void retryableTroubleEndsAtTheDeadlineWithTheLastTrouble() {
        var trouble = new RestoreSituation.Refused(FailureReason.SnapshotNotReady, "It is being saved.");

        assertThat(RestoreDecision.decide(restore(), trouble, LATE.minusSeconds(3))
                        .lookAgain())
                .isEqualTo(Duration.ofSeconds(3));
        assertOverdue(trouble, "Not admitted within 300 s. The last trouble was SnapshotNotReady: It is being saved.");
    }

    @Test
    void nothingIsBoundAfterTheDeadline() {
        assertOverdue(
                ADMISSIBLE,
                "Not admitted within 300 s. The last trouble was the operator did not come to it in time. The image is safe.");
    }

    private static void assertOverdue(RestoreSituation situation, String message) {
        VMRestoreStatus own = own(RestoreDecision.decide(restore(), situation, LATE));
        assertThat(own.getPhase()).isEqualTo(RestorePhase.Failed);
        assertThat(own.getNodeName()).isNull();
        assertThat(Conditions.find(own.getConditions(), ConditionType.STALLED)).hasValueSatisfying(condition -> {
            assertThat(condition.getReason()).isEqualTo("DeadlineExceeded");
            assertThat(condition.getMessage()).isEqualTo(message);
        });
    }

    private static VMRestoreStatus own(RestoreDecision decision) {
        return Objects.requireNonNull(decision.own());
    }

    private static VMRestore restore() {
        VMRestore restore = new VMRestore();
        restore.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("back")
                .withUid("r1")
                .withGeneration(1L)
                .withCreationTimestamp(CREATED.toString())
                .build());
        restore.setSpec(new VMRestoreSpec("web-1", null, null, null, 300));
        return restore;
    }
}
