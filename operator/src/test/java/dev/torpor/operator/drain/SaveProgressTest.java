package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SaveProgressTest {
    private static final Instant ENDED_AT = Instant.parse(Drained.ENDED_AT);
    private static final String WHY = ": It could not be done.";

    @Test
    void withoutASaveTheFirstIsToBegin() {
        assertThat(step()).isEqualTo(new SaveStep.Begin(1, Optional.empty()));
    }

    @Test
    void ourSaveIsWaitedForInEachOfItsStates() {
        assertThat(step(Drained.save(1))).isInstanceOf(SaveStep.UnderWay.class);
        assertThat(step(Drained.bound(Drained.save(1)))).isInstanceOf(SaveStep.UnderWay.class);
        assertThat(step(Drained.saving(Drained.save(1), 1, 2))).isInstanceOf(SaveStep.UnderWay.class);
        assertThat(step(Drained.saved(Drained.save(1)))).isInstanceOf(SaveStep.Saved.class);
    }

    @Test
    void aSaveOfAnEarlierPodIsNotThisPods() {
        VMSnapshot earlier = Drained.saved(Drained.save(1));
        earlier.getStatus().setPhase(SnapshotPhase.Consumed);
        earlier.setSpec(Drained.snapshot("x", SaveMode.ManagedSave, "another").getSpec());
        earlier.getStatus().setPod(new dev.torpor.api.v1alpha1.ObjectName("web-0", "another"));

        assertThat(step(earlier)).isEqualTo(new SaveStep.Begin(1, Optional.empty()));
    }

    @Test
    void aSaveThatSomebodyMadeIsWaitedFor() {
        VMSnapshot nightly = Drained.snapshot("nightly", SaveMode.Checkpoint, null);
        assertThat(step(Drained.saving(nightly, 1, 2))).isEqualTo(new SaveStep.OtherUnderWay(nightly));
        VMSnapshot byHand = Drained.snapshot("by-hand", SaveMode.ManagedSave, null);
        assertThat(step(byHand)).isEqualTo(new SaveStep.OtherUnderWay(byHand));
        assertThat(step(Drained.saved(byHand))).isEqualTo(new SaveStep.Saved(byHand));
    }

    @Test
    void aCheckpointThatIsDoneOrHasNotBegunHoldsNothingUp() {
        assertThat(step(Drained.snapshot("later", SaveMode.Checkpoint, null))).isInstanceOf(SaveStep.Begin.class);
        VMSnapshot done = Drained.saved(Drained.snapshot("done", SaveMode.Checkpoint, null));
        done.getStatus().setPhase(SnapshotPhase.Ready);
        assertThat(step(done)).isInstanceOf(SaveStep.Begin.class);
    }

    @Test
    void aSnapshotOfAnotherInstanceHoldsNothingUp() {
        assertThat(step(Drained.snapshot("pinned", SaveMode.ManagedSave, "another")))
                .isInstanceOf(SaveStep.Begin.class);
        assertThat(step(Drained.failed(Drained.snapshot("old", SaveMode.Save, null), "SaveFailed")))
                .isInstanceOf(SaveStep.Begin.class);
    }

    @ParameterizedTest
    @ValueSource(strings = {"StoreUnavailable", "NotEnoughSpace", "AgentRestarted", "VMBusy", "DeadlineExceeded"})
    void whatMayPassIsTriedAgainAfterABackOff(String reason) {
        VMSnapshot first = Drained.failed(Drained.save(1), reason);

        assertThat(step(Duration.ofSeconds(20), first))
                .isEqualTo(new SaveStep.Retry(first, reason + WHY, Duration.ofSeconds(10)));
        assertThat(step(Duration.ofSeconds(30), first)).isEqualTo(new SaveStep.Begin(2, Optional.of(reason + WHY)));
    }

    @Test
    void eachBackOffIsTwiceTheLastUpToTenMinutes() {
        VMSnapshot first = Drained.failed(Drained.save(1), "StoreUnavailable");
        VMSnapshot second = Drained.failed(Drained.save(2), "StoreUnavailable");
        assertThat(step(Duration.ofSeconds(59), first, second)).isInstanceOf(SaveStep.Retry.class);
        assertThat(step(Duration.ofMinutes(1), first, second)).isInstanceOf(SaveStep.Begin.class);
        VMSnapshot[] many = new VMSnapshot[40];
        for (int i = 0; i < many.length; i++) {
            many[i] = Drained.failed(Drained.save(i + 1), "StoreUnavailable");
        }
        assertThat(step(Duration.ofSeconds(599), many)).isInstanceOf(SaveStep.Retry.class);
        assertThat(step(Duration.ofMinutes(10), many))
                .isEqualTo(new SaveStep.Begin(41, Optional.of("StoreUnavailable" + WHY)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"LauncherMissing", "MigrationBlocked", "SaveFailed", "OfANewerRelease"})
    void whatDoesNotPassBlocksUntilThePersonWhoMendsItDeletesTheObject(String reason) {
        VMSnapshot failed = Drained.failed(Drained.save(1), reason);
        assertThat(step(Duration.ofDays(1), failed)).isEqualTo(new SaveStep.Blocked(failed, reason + WHY));
    }

    @Test
    void ofSeveralTriesTheLastCounts() {
        VMSnapshot tenth = Drained.bound(Drained.save(10));
        assertThat(step(tenth, Drained.failed(Drained.save(9), "StoreUnavailable")))
                .isEqualTo(new SaveStep.UnderWay(tenth));
    }

    @Test
    void aClassThatSaysDeleteLetsGoWhatDoesNotPassAtOnceAndTheRestAfterThreeTries() {
        VMSnapshot terminal = Drained.failed(Drained.save(1), "MigrationBlocked");
        assertThat(letGo(terminal)).isEqualTo(new SaveStep.LetGo(terminal, "MigrationBlocked" + WHY));
        VMSnapshot first = Drained.failed(Drained.save(1), "StoreUnavailable");
        VMSnapshot second = Drained.failed(Drained.save(2), "StoreUnavailable");
        VMSnapshot third = Drained.failed(Drained.save(3), "StoreUnavailable");
        assertThat(letGo(first, second)).isInstanceOf(SaveStep.Begin.class);
        assertThat(letGo(first, second, third)).isEqualTo(new SaveStep.LetGo(third, "StoreUnavailable" + WHY));
    }

    @Test
    void aSaveThatTheEndOfADrainCancelledBeginsAnewInTheNext() {
        VMSnapshot cancelled = Drained.ended(Drained.save(1), SnapshotPhase.Cancelled, "Cancelled");
        cancelled.getMetadata().getAnnotations().put(Torpor.CANCELLED_BY_ANNOTATION, Torpor.CREATED_BY_DRAIN);
        assertThat(step(cancelled)).isEqualTo(new SaveStep.Begin(2, Optional.empty()));
    }

    @Test
    void aVmThatHasNotGoneOnFromItsImageIsNotSavedAgain() {
        VMSnapshot image = Drained.ofPod(Drained.saved(Drained.save(1)), "the pod before");
        assertThat(step(image)).isEqualTo(new SaveStep.Starting(image, false));
        assertThat(SaveProgress.of(
                        Drained.pod(), List.of(image), failed -> OnSaveFailure.Delete, each -> true, ENDED_AT))
                .isEqualTo(new SaveStep.Starting(image, true));
    }

    @Test
    void aSaveThatMetAVmBeforeItHadGoneOnDoesNotCount() {
        VMSnapshot early = Drained.failed(Drained.save(1), "AlreadySaved");
        assertThat(step(early)).isEqualTo(new SaveStep.Begin(2, Optional.empty()));
        assertThat(letGo(early)).isEqualTo(new SaveStep.Begin(2, Optional.empty()));
    }

    @Test
    void triesOfDrainsThatAreOverDoNotCount() {
        VMSnapshot cancelled = Drained.ended(Drained.save(3), SnapshotPhase.Cancelled, "Cancelled");
        cancelled.getMetadata().getAnnotations().put(Torpor.CANCELLED_BY_ANNOTATION, Torpor.CREATED_BY_DRAIN);
        VMSnapshot first = Drained.failed(Drained.save(1), "StoreUnavailable");
        VMSnapshot second = Drained.failed(Drained.save(2), "StoreUnavailable");
        VMSnapshot fourth = Drained.failed(Drained.save(4), "StoreUnavailable");
        assertThat(letGo(first, second, cancelled, fourth))
                .isEqualTo(new SaveStep.Begin(5, Optional.of("StoreUnavailable" + WHY)));

        VMSnapshot terminal = Drained.failed(Drained.save(1), "MigrationBlocked");
        terminal.getMetadata().getAnnotations().put(Torpor.DRAIN_OVER_ANNOTATION, "true");
        assertThat(letGo(terminal)).isEqualTo(new SaveStep.Begin(2, Optional.empty()));
    }

    @Test
    void whatCameOfAnEvictionCountsForTenMinutes() {
        VMSnapshot failed = Drained.failed(Drained.save(1, DrainCause.Eviction), "MigrationBlocked");
        assertThat(step(Duration.ofMinutes(10), failed)).isInstanceOf(SaveStep.Blocked.class);
        assertThat(letGo(failed)).isEqualTo(new SaveStep.Begin(2, Optional.empty()));
    }

    @Test
    void triesOfAnEvictionThatGoesOnCountHoweverLongTheyTake() {
        VMSnapshot[] tries = new VMSnapshot[3];
        for (int i = 0; i < tries.length; i++) {
            tries[i] = Drained.failed(Drained.save(i + 1, DrainCause.Eviction), "DeadlineExceeded");
            Instant end = ENDED_AT.plus(Duration.ofHours(i));
            tries[i].getMetadata()
                    .setCreationTimestamp(end.minus(Duration.ofMinutes(59)).toString());
            Objects.requireNonNull(tries[i].getStatus().getConditions())
                    .getFirst()
                    .setLastTransitionTime(end.toString());
        }
        Instant now = ENDED_AT.plus(Duration.ofHours(2));
        assertThat(SaveProgress.of(Drained.pod(), List.of(tries), failed -> OnSaveFailure.Delete, each -> false, now))
                .isInstanceOf(SaveStep.LetGo.class);
    }

    @Test
    void aSaveThatAPersonCancelledIsNotMadeAgainAndItsVmIsNeverLetGo() {
        VMSnapshot cancelled = Drained.ended(Drained.save(1), SnapshotPhase.Cancelled, "Cancelled");
        assertThat(step(Duration.ofDays(1), cancelled)).isInstanceOf(SaveStep.Blocked.class);
        assertThat(letGo(cancelled)).isInstanceOf(SaveStep.Blocked.class);
    }

    @Test
    void namesAreTheSameWhoeverMakesThemAndValidWhateverTheLabel() {
        assertThat(SaveName.of("web", Drained.pod(), 1)).isEqualTo("web-01234567-1");
        assertThat(SaveName.of("Web_1.a-.b", Drained.pod(), 12)).isEqualTo("web-1-a--b-01234567-12");
        VMSnapshot foreign = new VMSnapshot();
        foreign.setMetadata(new ObjectMetaBuilder().withName("nightly").build());
        foreign.setStatus(new VMSnapshotStatus());
        assertThat(SaveName.attemptOf(foreign)).isZero();
        assertThat(SaveName.attemptOf(Drained.save(12))).isEqualTo(12);
    }

    private static SaveStep step(VMSnapshot... ofVm) {
        return step(Duration.ZERO, ofVm);
    }

    private static SaveStep step(Duration afterTheEnd, VMSnapshot... ofVm) {
        return SaveProgress.of(
                Drained.pod(), List.of(ofVm), failed -> OnSaveFailure.Block, each -> false, ENDED_AT.plus(afterTheEnd));
    }

    private static SaveStep letGo(VMSnapshot... ofVm) {
        return SaveProgress.of(
                Drained.pod(),
                List.of(ofVm),
                failed -> OnSaveFailure.Delete,
                each -> false,
                ENDED_AT.plus(Duration.ofDays(1)));
    }
}
