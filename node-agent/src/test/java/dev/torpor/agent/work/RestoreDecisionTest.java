package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RunStatePolicy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What is done for a VMRestore, by what is on the disk and what is asked. */
class RestoreDecisionTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final ProcessIdentity PROCESS = new ProcessIdentity("p1", "c1", "boot", 1, 1);
    private static final ProcessIdentity ANOTHER = new ProcessIdentity("p0", "c0", "boot", 2, 2);
    private static final VmRecord WAITING = VmRecord.NONE.waitingFor(new VmRecord.Waiting("r1", IMAGE));
    private static final VmRecord FED = WAITING.handedOver(new VmRecord.HandOver("r1", IMAGE, PROCESS));
    private static final Trouble FINAL = new Trouble(FailureReason.MachineTypeMismatch, "another machine");

    private ImageMode mode = ImageMode.SAVE;
    private ImageState state = new ImageState.Complete();
    private VmRecord vm = VmRecord.NONE;
    private Optional<ObjectName> pod = Optional.of(new ObjectName("web", "p1"));
    private Optional<Trouble> trouble = Optional.empty();
    private boolean checked;
    private boolean resumed;
    private boolean failed;
    private boolean givenUp;
    private boolean overdue;

    @Test
    void theImageIsCheckedAndEnteredBeforeItIsSaid() {
        assertThat(decide()).isInstanceOf(RestoreDecision.Check.class);
        vm = WAITING;
        assertThat(decide()).isInstanceOf(RestoreDecision.Check.class);
        vm = VmRecord.NONE;
        checked = true;
        assertThat(decide()).isInstanceOf(RestoreDecision.Check.class);
    }

    @Test
    void theCheckedImageWaitsForItsPodAndIsFedToIt() {
        vm = WAITING;
        checked = true;
        assertThat(decide()).isEqualTo(new RestoreDecision.Load("p1"));
        pod = Optional.empty();
        assertThat(decide()).isInstanceOf(RestoreDecision.Rest.class);
    }

    @Test
    void whatIsHandedOverIsFinishedWhateverElseIsAsked() {
        state = new ImageState.HandedOver(PROCESS);
        vm = WAITING;
        assertThat(decide()).isEqualTo(new RestoreDecision.Finish(PROCESS));
        vm = FED;
        givenUp = true;
        overdue = true;
        trouble = Optional.of(FINAL);
        assertThat(decide()).isEqualTo(new RestoreDecision.Finish(PROCESS));
    }

    @Test
    void aCheckpointGivenToAnotherProcessBeforeIsNotThisRestores() {
        mode = ImageMode.CHECKPOINT;
        state = new ImageState.HandedOver(ANOTHER);
        vm = VmRecord.NONE.handedOver(new VmRecord.HandOver("r0", IMAGE, ANOTHER));
        assertThat(decide()).isInstanceOf(RestoreDecision.Check.class);
    }

    @Test
    void whatIsDoneIsTidiedUpOnce() {
        resumed = true;
        state = new ImageState.HandedOver(PROCESS);
        vm = FED;
        assertThat(decide()).isEqualTo(new RestoreDecision.TidyUp(true));
        state = new ImageState.Consumed();
        assertThat(decide()).isInstanceOf(RestoreDecision.Rest.class);
        mode = ImageMode.CHECKPOINT;
        state = new ImageState.HandedOver(PROCESS);
        assertThat(decide()).isInstanceOf(RestoreDecision.Rest.class);
    }

    @Test
    void aFailedRestoreHoldsNothing() {
        failed = true;
        vm = WAITING;
        assertThat(decide()).isEqualTo(new RestoreDecision.TidyUp(false));
        vm = VmRecord.NONE;
        assertThat(decide()).isInstanceOf(RestoreDecision.Rest.class);
    }

    @Test
    void whatABackupBroughtBackWithItsStatusIsNotCarriedOut() {
        VMRestore object = new VMRestore();
        object.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("r")
                .withUid("r1")
                .withCreationTimestamp("2026-01-02T03:00:00Z")
                .build());
        object.setSpec(new VMRestoreSpec("s", null, null, null, null));
        VMRestoreStatus status = new VMRestoreStatus();
        status.setNodeName("n1");
        status.setVmName("web");
        status.setSnapshotUID("u1");
        object.setStatus(status);
        assertThat(RestoreView.of(object).orElseThrow().givenUp()).isFalse();
        object.getMetadata().setLabels(Map.of("velero.io/restore-name", "monday"));
        assertThat(RestoreView.of(object).orElseThrow().givenUp()).isTrue();
    }

    @Test
    void troubleIsFinalAtOnceOrAtTheDeadline() {
        trouble = Optional.of(FINAL);
        assertThat(decide()).isEqualTo(new RestoreDecision.GiveUp(FINAL));
        trouble = Optional.of(new Trouble(FailureReason.QMPTimeout, "no answer"));
        assertThat(decide()).isInstanceOf(RestoreDecision.Check.class);
        overdue = true;
        assertThat(decide()).isInstanceOfSatisfying(RestoreDecision.GiveUp.class, it -> assertThat(it.why())
                .isEqualTo(new Trouble(
                        FailureReason.DeadlineExceeded,
                        "not done within 300 s; the last trouble was QMPTimeout: no answer")));
    }

    @Test
    void theGuestRunsAsAskedOrAsItDid() {
        assertThat(view(RunStatePolicy.AsSaved).runs(true)).isTrue();
        assertThat(view(RunStatePolicy.AsSaved).runs(false)).isFalse();
        assertThat(view(RunStatePolicy.Running).runs(false)).isTrue();
        assertThat(view(RunStatePolicy.Paused).runs(true)).isFalse();
    }

    private RestoreDecision decide() {
        PartialIntent intent = new PartialIntent(mode, 1, true, Optional.empty(), Instant.EPOCH);
        return RestoreDecision.of(new RestoreDecision.Facts(
                view(RunStatePolicy.AsSaved),
                Optional.of(new ImageRecord(IMAGE, intent, Optional.empty(), state)),
                vm,
                trouble,
                overdue));
    }

    private RestoreView view(RunStatePolicy runState) {
        return new RestoreView(
                new VMRestore(),
                "vms/r",
                "r1",
                IMAGE,
                pod,
                DisksPolicy.Unchanged,
                runState,
                Instant.EPOCH,
                300,
                checked,
                resumed,
                failed,
                givenUp);
    }
}
