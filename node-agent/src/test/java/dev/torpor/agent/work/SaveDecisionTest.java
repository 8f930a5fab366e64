package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What is done for a VMSnapshot, by what is on the disk and what is asked. */
class SaveDecisionTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final ProcessIdentity PROCESS = new ProcessIdentity("p1", "c1", "boot", 1, 1);
    private static final Trouble PASSING = new Trouble(FailureReason.SocketMissing, "there is no QMP socket");
    private static final Trouble FINAL = new Trouble(FailureReason.CapabilityMissing, "QEMU 8.2.0 lacks mapped-ram");

    private final VMSnapshot object = new VMSnapshot();
    private ImageMode mode = ImageMode.SAVE;
    private @Nullable SourceSpec source;
    private boolean bound = true;
    private boolean here = true;
    private boolean cancel;
    private boolean deleting;
    private boolean discard;
    private boolean saved;
    private boolean failed;
    private boolean inRestore;
    private boolean orphaned;
    private boolean overdue;
    private long runs = 1;
    private Optional<ImageState> state = Optional.empty();
    private Optional<Trouble> trouble = Optional.empty();

    @Test
    void aBoundSnapshotIsSaved() {
        assertThat(decide()).isInstanceOf(SaveDecision.Save.class);
    }

    @Test
    void oneWithoutAPodWaitsForTheOperator() {
        bound = false;
        assertThat(decide()).isInstanceOf(SaveDecision.Rest.class);
    }

    @Test
    void oneOfAnotherStoreIsLeftAlone() {
        here = false;
        saved = true;
        assertThat(decide()).isInstanceOf(SaveDecision.Rest.class);
    }

    @Test
    void whatWasBegunIsUndoneFirstWhateverElseIsAsked() {
        state = Optional.of(new ImageState.Partial());
        assertThat(decide()).isInstanceOf(SaveDecision.Undo.class);
        cancel = true;
        deleting = true;
        overdue = true;
        trouble = Optional.of(FINAL);
        assertThat(decide()).isInstanceOf(SaveDecision.Undo.class);
    }

    @Test
    void anImageThatTheAgentMadeByItselfIsNotTakenBackWhenItsObjectIsDeleted() {
        source = new SourceSpec("p1", "p1-1");
        mode = ImageMode.MANAGED_SAVE;
        state = Optional.of(new ImageState.Complete());
        deleting = true;
        cancel = true;
        assertThat(decide()).isEqualTo(new SaveDecision.Mirror(new ImageState.Complete()));
        discard = true;
        assertThat(decide()).as("its pod is known to go then").isInstanceOf(SaveDecision.Mirror.class);
        discard = false;
        saved = true;
        assertThat(decide()).isInstanceOf(SaveDecision.StayForStart.class);
        discard = true;
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
    }

    @Test
    void aCommittedImageIsSaidThoughACancelCameTooLate() {
        state = Optional.of(new ImageState.Complete());
        cancel = true;
        overdue = true;
        assertThat(decide()).isEqualTo(new SaveDecision.Mirror(new ImageState.Complete()));
    }

    @Test
    void cancelBeforeTheSaveIsSaid() {
        cancel = true;
        assertThat(givenUp()).isEqualTo(FailureReason.Cancelled);
    }

    @Test
    void aFinalTroubleIsSaidAndAPassingOneIsTriedAgainUntilTheDeadline() {
        trouble = Optional.of(FINAL);
        assertThat(givenUp()).isEqualTo(FailureReason.CapabilityMissing);
        trouble = Optional.of(PASSING);
        assertThat(decide()).isInstanceOf(SaveDecision.Save.class);
        overdue = true;
        assertThat(decide()).isInstanceOfSatisfying(SaveDecision.GiveUp.class, it -> assertThat(it.why())
                .isEqualTo(new Trouble(
                        FailureReason.DeadlineExceeded,
                        "not done within 300 s; the last trouble was SocketMissing: there is no QMP socket")));
    }

    @Test
    void whatFailedIsNotBegunAgain() {
        failed = true;
        assertThat(decide()).isInstanceOf(SaveDecision.Rest.class);
    }

    @Test
    void aRunSinceMakesASavedImageStaleButNotACheckpoint() {
        state = Optional.of(new ImageState.Complete());
        saved = true;
        runs = 2;
        assertThat(decide()).isInstanceOf(SaveDecision.MarkStale.class);
        mode = ImageMode.CHECKPOINT;
        assertThat(decide()).isInstanceOf(SaveDecision.Mirror.class);
        mode = ImageMode.SAVE;
        inRestore = true;
        assertThat(decide()).isInstanceOf(SaveDecision.Mirror.class);
        inRestore = false;
        runs = 1;
        assertThat(decide()).isInstanceOf(SaveDecision.Mirror.class);
    }

    @Test
    void aVanishedImageIsSaid() {
        saved = true;
        assertThat(decide()).isEqualTo(new SaveDecision.Mirror(new ImageState.Partial()));
    }

    @Test
    void deletionLetsGoOnceNoRestoreUsesTheImage() {
        deleting = true;
        saved = true;
        state = Optional.of(new ImageState.Complete());
        inRestore = true;
        assertThat(decide()).isInstanceOf(SaveDecision.StayForRestore.class);
        inRestore = false;
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
        state = Optional.of(new ImageState.Consumed());
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
        state = Optional.empty();
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
    }

    @Test
    void aManagedImageThatWaitsIsLetGoOnlyOnPurpose() {
        mode = ImageMode.MANAGED_SAVE;
        deleting = true;
        saved = true;
        state = Optional.of(new ImageState.Complete());
        assertThat(decide()).isInstanceOf(SaveDecision.StayForStart.class);
        state = Optional.empty();
        assertThat(decide()).as("missing").isInstanceOf(SaveDecision.StayForStart.class);
        discard = true;
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
        state = Optional.of(new ImageState.Verified());
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
        discard = false;
        state = Optional.of(new ImageState.Consumed());
        assertThat(decide())
                .as("consumed, and not said yet")
                .isEqualTo(new SaveDecision.Mirror(new ImageState.Consumed()));
        state = Optional.of(new ImageState.Complete());
        runs = 2;
        assertThat(decide()).as("the VM ran since").isInstanceOf(SaveDecision.MarkStale.class);
        state = Optional.of(new ImageState.Stale());
        assertThat(decide()).isEqualTo(new SaveDecision.Mirror(new ImageState.Stale()));
        object.setStatus(new VMSnapshotStatus());
        object.getStatus()
                .setConditions(List.of(
                        Conditions.next(null, ConditionType.IMAGE_AVAILABLE, true, "Stale", "", 1L, Instant.EPOCH)));
        assertThat(decide()).as("and that is said").isInstanceOf(SaveDecision.LetGo.class);
        state = Optional.empty();
        assertThat(decide()).as("again, as the object had changed").isInstanceOf(SaveDecision.LetGo.class);
    }

    @Test
    void aHandOverWhoseRestoreIsGoneSpendsTheImage() {
        state = Optional.of(new ImageState.HandedOver(PROCESS));
        saved = true;
        inRestore = true;
        assertThat(decide()).isInstanceOf(SaveDecision.Mirror.class);
        inRestore = false;
        assertThat(decide()).isEqualTo(new SaveDecision.Consume(false));
        orphaned = true;
        assertThat(decide()).isEqualTo(new SaveDecision.Consume(true));
        deleting = true;
        assertThat(decide()).isEqualTo(new SaveDecision.Consume(true));
        mode = ImageMode.CHECKPOINT;
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
    }

    @Test
    void deletionBeforeAnybodyWasToldThatItIsSavedHasTheVmGoOn() {
        deleting = true;
        state = Optional.of(new ImageState.Complete());
        assertThat(decide()).isInstanceOf(SaveDecision.TakeBack.class);
    }

    @Test
    void deletionBeforeTheSaveIsACancel() {
        deleting = true;
        assertThat(givenUp()).isEqualTo(FailureReason.Cancelled);
        failed = true;
        assertThat(decide()).isInstanceOf(SaveDecision.LetGo.class);
    }

    @Test
    void statusOfAnotherObjectIsNoRequest() {
        assertThat(decide()).isInstanceOf(SaveDecision.Save.class);
        object.getMetadata().setUid("u1");
        object.setStatus(new VMSnapshotStatus());
        object.getStatus().setManifestRevision("torpor-u0");
        assertThat(decide()).isInstanceOf(SaveDecision.Rest.class);
        deleting = true;
        assertThat(decide()).isInstanceOf(SaveDecision.Rest.class);

        deleting = false;
        object.getStatus().setManifestRevision("torpor-u1-p1");
        assertThat(decide()).isInstanceOf(SaveDecision.Save.class);
    }

    private FailureReason givenUp() {
        return ((SaveDecision.GiveUp) decide()).why().reason();
    }

    private SaveDecision decide() {
        PartialIntent intent = new PartialIntent(mode, 1, true, Optional.of(PROCESS), Instant.EPOCH);
        object.setSpec(new VMSnapshotSpec("web", null, null, source, null, null, null, null, null, null));
        SnapshotView snapshot = new SnapshotView(
                object,
                "vms/s",
                IMAGE,
                mode,
                bound ? Optional.of("p1") : Optional.empty(),
                Optional.of("store"),
                Instant.EPOCH,
                300,
                cancel,
                deleting,
                discard,
                saved,
                failed);
        return SaveDecision.of(new SaveDecision.Facts(
                snapshot,
                here,
                state.map(s -> new ImageRecord(IMAGE, intent, Optional.empty(), s)),
                runs,
                inRestore,
                orphaned,
                trouble,
                overdue));
    }
}
