package dev.torpor.operator.snapshot;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ConsumedBy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The table of decisions: each situation, what is done, and what status says then. */
class SnapshotDecisionTest {
    private static final Instant CREATED = Instant.parse("2026-01-02T03:04:05Z");
    private static final Instant NOW = CREATED.plusSeconds(30);
    private static final Instant LATE = CREATED.plusSeconds(300);
    private static final ObjectName SOURCE = new ObjectName("web-pod", "u1");
    private static final StoreState ALIVE = new StoreState.Alive("node-uid", "store");
    private static final Pod POD = TestPods.running("web-pod", "u1").build();
    private static final SnapshotSituation.Admissible ADMISSIBLE =
            new SnapshotSituation.Admissible(new SnapshotSituation.Binding(
                    "fast",
                    VmPods.nameOf(POD),
                    Optional.of(POD),
                    "n1",
                    "node-uid",
                    "store",
                    List.of(new ObjectName("data", "c1")),
                    List.of()));

    /** Each situation but those that write no status: phase, Ready, its reason, Reconciling, Stalled. */
    static Stream<Arguments> statusOfEachSituation() {
        return Stream.of(
                Arguments.of(
                        new SnapshotSituation.CancelledUnbound(),
                        SnapshotPhase.Cancelled,
                        "False",
                        "Cancelled",
                        false,
                        true),
                Arguments.of(
                        new SnapshotSituation.Refused(FailureReason.VMNotFound, "m"),
                        SnapshotPhase.Pending,
                        "False",
                        "VMNotFound",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.Refused(FailureReason.LauncherMissing, "m"),
                        SnapshotPhase.Failed,
                        "False",
                        "LauncherMissing",
                        false,
                        true),
                Arguments.of(ADMISSIBLE, SnapshotPhase.Bound, "False", "Bound", true, false),
                Arguments.of(new SnapshotSituation.InWork(ALIVE), SnapshotPhase.Bound, "False", "Bound", true, false),
                Arguments.of(
                        new SnapshotSituation.InWork(new StoreState.Away("m")),
                        SnapshotPhase.Bound,
                        "False",
                        "StoreUnavailable",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.InWork(new StoreState.NodeGone("m")),
                        SnapshotPhase.Bound,
                        "False",
                        "NodeGone",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.GaveUp("Cancelled", "m"),
                        SnapshotPhase.Cancelled,
                        "False",
                        "Cancelled",
                        false,
                        true),
                Arguments.of(
                        new SnapshotSituation.GaveUp("QEMUGone", "m"),
                        SnapshotPhase.Failed,
                        "False",
                        "QEMUGone",
                        false,
                        true),
                Arguments.of(
                        new SnapshotSituation.StoppingSource(SOURCE, false),
                        SnapshotPhase.Saved,
                        "False",
                        "StoppingVM",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.StoppingSource(SOURCE, true),
                        SnapshotPhase.Saved,
                        "False",
                        "StoppingVM",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.Restorable("n1"),
                        SnapshotPhase.Ready,
                        "True",
                        "Restorable",
                        false,
                        false),
                Arguments.of(
                        new SnapshotSituation.BeingRestored("back", List.of()),
                        SnapshotPhase.Resuming,
                        "False",
                        "Resuming",
                        true,
                        false),
                Arguments.of(
                        new SnapshotSituation.Consumed(null),
                        SnapshotPhase.Consumed,
                        "False",
                        "Consumed",
                        false,
                        false),
                Arguments.of(
                        new SnapshotSituation.Consumed(new ConsumedBy("back", "web-pod", "u2", "t")),
                        SnapshotPhase.Consumed,
                        "False",
                        "Consumed",
                        false,
                        false),
                Arguments.of(
                        new SnapshotSituation.ImageUnusable("Stale", "m"),
                        SnapshotPhase.Ready,
                        "False",
                        "Stale",
                        false,
                        true),
                Arguments.of(
                        new SnapshotSituation.DeletedByAgent(),
                        SnapshotPhase.Pending,
                        "False",
                        "Deleting",
                        true,
                        false));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void statusOfEachSituation(
            SnapshotSituation situation,
            SnapshotPhase phase,
            String ready,
            String reason,
            boolean reconciling,
            boolean stalled) {
        VMSnapshotStatus own = own(SnapshotDecision.decide(snapshot(null), situation, NOW));

        assertThat(own.getPhase()).isEqualTo(phase);
        assertThat(own.getObservedGeneration()).isEqualTo(2L);
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
    void decidingAgainChangesNothing(SnapshotSituation situation) {
        VMSnapshot once = snapshot(null);
        once.setStatus(own(SnapshotDecision.decide(once, situation, NOW)));

        VMSnapshotStatus again = own(SnapshotDecision.decide(once, situation, NOW.plusSeconds(5)));

        assertThat(again).usingRecursiveComparison().isEqualTo(once.getStatus());
    }

    static Stream<Arguments> actionOfEachSituation() {
        return Stream.of(
                Arguments.of(new SnapshotSituation.Ended(), new SnapshotAction.Nothing()),
                Arguments.of(new SnapshotSituation.New(), new SnapshotAction.AddFinalizer()),
                Arguments.of(ADMISSIBLE, new SnapshotAction.RecordManifest(POD)),
                Arguments.of(new SnapshotSituation.StoppingSource(SOURCE, false), new SnapshotAction.DeletePod(SOURCE)),
                Arguments.of(new SnapshotSituation.StoppingSource(SOURCE, true), new SnapshotAction.Nothing()),
                Arguments.of(new SnapshotSituation.DeletedUnbound(), new SnapshotAction.RemoveFinalizer()),
                Arguments.of(new SnapshotSituation.DeletedWithNode("m"), new SnapshotAction.RemoveFinalizer()),
                Arguments.of(new SnapshotSituation.DeletedByAgent(), new SnapshotAction.Nothing()),
                Arguments.of(new SnapshotSituation.Restorable("n1"), new SnapshotAction.Nothing()),
                Arguments.of(new SnapshotSituation.InWork(ALIVE), new SnapshotAction.Nothing()),
                Arguments.of(new SnapshotSituation.GaveUp("QEMUGone", "m"), new SnapshotAction.Nothing()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void actionOfEachSituation(SnapshotSituation situation, SnapshotAction action) {
        assertThat(SnapshotDecision.decide(snapshot(null), situation, NOW).action())
                .isEqualTo(action);
    }

    @Test
    void bindingSaysAllThatTheAgentNeeds() {
        VMSnapshotStatus own = own(SnapshotDecision.decide(snapshot(null), ADMISSIBLE, NOW));

        assertThat(own.getNodeName()).isEqualTo("n1");
        assertThat(own.getNodeUID()).isEqualTo("node-uid");
        assertThat(own.getStoreID()).isEqualTo("store");
        assertThat(own.getPod()).isEqualTo(SOURCE);
        assertThat(own.getClassName()).isEqualTo("fast");
        assertThat(own.getManifestRevision()).isEqualTo("torpor-s1-u1");
    }

    @Test
    void bindingIsCarriedOver() {
        VMSnapshot bound = snapshot(null);
        bound.setStatus(own(SnapshotDecision.decide(bound, ADMISSIBLE, NOW)));

        VMSnapshotStatus own = own(SnapshotDecision.decide(bound, new SnapshotSituation.Restorable("n1"), NOW));

        assertThat(own)
                .usingRecursiveComparison()
                .ignoringFields("phase", "conditions")
                .isEqualTo(bound.getStatus());
    }

    @Test
    void phaseIsSavingOnceTheAgentBegan() {
        VMSnapshot seen = withSaved("False", "Saving", "37 %");

        VMSnapshotStatus own = own(SnapshotDecision.decide(seen, new SnapshotSituation.InWork(ALIVE), NOW));

        assertThat(own.getPhase()).isEqualTo(SnapshotPhase.Saving);
        assertThat(message(own)).isEqualTo("The agent of node n1 saves VM web (pod web-pod).");
    }

    @Test
    void troubleOfTheAgentIsPassedOn() {
        VMSnapshot seen = withSaved("False", "NotEnoughSpace", "5 GiB are free, 8 GiB are needed. The VM runs.");

        VMSnapshotStatus own = own(SnapshotDecision.decide(seen, new SnapshotSituation.InWork(ALIVE), NOW));

        assertThat(Conditions.reason(own.getConditions(), ConditionType.READY)).isEqualTo("NotEnoughSpace");
        assertThat(message(own)).isEqualTo("5 GiB are free, 8 GiB are needed. The VM runs.");
    }

    @Test
    void retryableTroubleEndsAtTheDeadlineWithTheLastTrouble() {
        var trouble = new SnapshotSituation.Refused(FailureReason.VMNotFound, "There is no pod.");

        assertThat(SnapshotDecision.decide(snapshot(null), trouble, LATE.minusSeconds(3))
                        .lookAgain())
                .isEqualTo(Duration.ofSeconds(3));
        VMSnapshotStatus own = own(SnapshotDecision.decide(snapshot(null), trouble, LATE));

        assertThat(own.getPhase()).isEqualTo(SnapshotPhase.Failed);
        assertThat(Conditions.reason(own.getConditions(), ConditionType.STALLED))
                .isEqualTo("DeadlineExceeded");
        assertThat(message(own))
                .isEqualTo("Not admitted within 300 s. The last trouble was VMNotFound: There is no pod.");
    }

    @Test
    void nothingIsBoundAfterTheDeadline() {
        SnapshotDecision decision = SnapshotDecision.decide(snapshot(null), ADMISSIBLE, LATE);

        assertThat(decision.action()).isEqualTo(new SnapshotAction.Nothing());
        assertThat(own(decision).getNodeName()).isNull();
        assertThat(message(own(decision)))
                .isEqualTo(
                        "Not admitted within 300 s. The last trouble was the operator did not come to it in time. Nothing was done to the VM.");
    }

    @Test
    void cancelIsLatchedUntilSavedAndIgnoredAfterwards() {
        VMSnapshot cancelled = snapshot(true);
        VMSnapshotStatus own = own(SnapshotDecision.decide(cancelled, new SnapshotSituation.InWork(ALIVE), NOW));
        assertThat(own.getCancelRequested()).isTrue();

        VMSnapshot takenBack = snapshot(false);
        takenBack.setStatus(own);
        assertThat(own(SnapshotDecision.decide(takenBack, new SnapshotSituation.InWork(ALIVE), NOW))
                        .getCancelRequested())
                .isTrue();

        VMSnapshot saved = withSaved("True", "Committed", "");
        saved.setSpec(snapshot(true).getSpec());
        assertThat(own(SnapshotDecision.decide(saved, new SnapshotSituation.Restorable("n1"), NOW))
                        .getCancelRequested())
                .isNull();
    }

    private static VMSnapshot withSaved(String status, String reason, String message) {
        VMSnapshot seen = snapshot(null);
        VMSnapshotStatus bound = own(SnapshotDecision.decide(seen, ADMISSIBLE, NOW));
        bound.setConditions(Conditions.with(
                bound.getConditions(),
                Conditions.next(null, ConditionType.SAVED, "True".equals(status), reason, message, 1L, NOW)));
        seen.setStatus(bound);
        return seen;
    }

    private static VMSnapshotStatus own(SnapshotDecision decision) {
        return Objects.requireNonNull(decision.own());
    }

    private static String message(VMSnapshotStatus own) {
        return Conditions.find(own.getConditions(), ConditionType.READY)
                .orElseThrow()
                .getMessage();
    }

    private static VMSnapshot snapshot(@Nullable Boolean cancel) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("web-1")
                .withUid("s1")
                .withGeneration(2L)
                .withCreationTimestamp(CREATED.toString())
                .withFinalizers(List.of())
                .build());
        snapshot.setSpec(new VMSnapshotSpec("web", SaveMode.Save, null, null, null, 300, cancel, null, null, null));
        return snapshot;
    }
}
