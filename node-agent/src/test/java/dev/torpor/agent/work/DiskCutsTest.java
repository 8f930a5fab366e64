package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotName;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Duration;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** For what a paused guest is kept waiting, and for what not. */
class DiskCutsTest {
    private static final String PAUSED_AT = "2026-01-02T03:04:05.678Z";
    private static final String CUT_AT = "2026-01-02T03:04:06Z";
    private final VMSnapshot planned =
            snapshot(VolumeSnapshotStatus.planned("data"), VolumeSnapshotStatus.planned("log"));

    @Test
    void allOfThisPauseWereCut() {
        assertThatCode(() -> await(cut("data", PAUSED_AT, CUT_AT, null), cut("log", PAUSED_AT, CUT_AT, null)))
                .doesNotThrowAnyException();
    }

    @Test
    void whatWasCutInAnotherPauseDoesNotCount() {
        TorporException e =
                failure(cut("data", PAUSED_AT, CUT_AT, null), cut("log", "2026-01-02T03:00:00Z", CUT_AT, null));
        assertThat(e.reason()).isEqualTo(FailureReason.VolumeSnapshotFailed);
        assertThat(e).hasMessageStartingWith("the VolumeSnapshots of log were not cut within 0 s");
    }

    @Test
    void whatIsNotCutYetDoesNotCount() {
        assertThat(failure(cut("data", PAUSED_AT, null, null), cut("log", PAUSED_AT, null, null)))
                .hasMessageStartingWith("the VolumeSnapshots of data, log were not cut");
    }

    @Test
    void oneThatFailedEndsIt() {
        assertThat(failure(cut("data", PAUSED_AT, null, "the pool is full"), cut("log", PAUSED_AT, CUT_AT, null)))
                .hasMessage("VolumeSnapshot " + VolumeSnapshotName.of("s1", "data", PAUSED_AT)
                        + " of claim data failed: the pool is full");
    }

    @Test
    void whoeverWantsTheEndIsHeard() {
        Cancellation cancellation = new Cancellation();
        cancellation.request(FailureReason.Cancelled, "it was cancelled");
        VMSnapshot live = snapshot(cut("data", PAUSED_AT, CUT_AT, null), cut("log", PAUSED_AT, CUT_AT, null));
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> new DiskCuts(new FakeCluster(live), planned, PAUSED_AT, Duration.ofHours(1)).await(cancellation));
        assertThat(e.reason()).isEqualTo(FailureReason.Cancelled);
    }

    @Test
    void namesAreOfOneClaimAndOnePauseAndFit() {
        String name = VolumeSnapshotName.of("s1", "data", PAUSED_AT);
        assertThat(name).startsWith("data-").isEqualTo(VolumeSnapshotName.of("s1", "data", PAUSED_AT));
        assertThat(List.of(
                        VolumeSnapshotName.of("s2", "data", PAUSED_AT),
                        VolumeSnapshotName.of("s1", "log", PAUSED_AT),
                        VolumeSnapshotName.of("s1", "data", CUT_AT)))
                .doesNotContain(name)
                .doesNotHaveDuplicates();
        String cutAtADot = "a".repeat(241) + "." + "b".repeat(11);
        assertThat(VolumeSnapshotName.of("s1", cutAtADot, PAUSED_AT))
                .hasSizeLessThanOrEqualTo(253)
                .matches("a{241}-[0-9a-f]{10}");
    }

    private void await(VolumeSnapshotStatus... now) throws TorporException {
        new DiskCuts(new FakeCluster(snapshot(now)), planned, PAUSED_AT, Duration.ZERO).await(new Cancellation());
    }

    private TorporException failure(VolumeSnapshotStatus... now) {
        return catchThrowableOfType(TorporException.class, () -> await(now));
    }

    private static VolumeSnapshotStatus cut(
            String claim, String pausedAt, @Nullable String creationTime, @Nullable String error) {
        return new VolumeSnapshotStatus(claim, VolumeSnapshotName.of("s1", claim, pausedAt), creationTime, null, error);
    }

    private static VMSnapshot snapshot(VolumeSnapshotStatus... cuts) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("snap")
                .withUid("s1")
                .build());
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setVolumeSnapshots(List.of(cuts));
        snapshot.setStatus(status);
        return snapshot;
    }
}
