package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotName;
import dev.torpor.api.v1alpha1.VolumeSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Waits, with the guest paused, until status says that all VolumeSnapshots of this very pause were cut. What it says comes
 * from the operator, which agents may not speak for.
 */
final class DiskCuts {
    private static final Logger LOG = LoggerFactory.getLogger(DiskCuts.class);
    private static final Duration POLL = Duration.ofMillis(200);

    private final Cluster cluster;
    private final VMSnapshot snapshot;
    private final String pausedAt;
    private final Duration timeout;
    private final long pausedAtNanos = System.nanoTime();

    /**
     * Begins to count the time.
     *
     * @param pausedAt as it stands in status
     * @param timeout for which the guest stays paused for them at most
     */
    DiskCuts(Cluster cluster, VMSnapshot snapshot, String pausedAt, Duration timeout) {
        this.cluster = cluster;
        this.snapshot = snapshot;
        this.pausedAt = pausedAt;
        this.timeout = timeout;
    }

    /** Returns the VolumeSnapshots that are to be taken with a snapshot. */
    static List<VolumeSnapshotStatus> planned(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status == null ? List.of() : Objects.requireNonNullElse(status.getVolumeSnapshots(), List.of());
    }

    /**
     * Waits.
     *
     * @throws TorporException VolumeSnapshotFailed if one failed, or when the time is over; why the end was asked for
     */
    void await(Cancellation cancellation) throws TorporException {
        while (true) {
            cancellation.check();
            List<String> missing = missing();
            if (missing.isEmpty()) {
                return;
            }
            if (System.nanoTime() - pausedAtNanos > timeout.toNanos()) {
                throw new TorporException(
                        FailureReason.VolumeSnapshotFailed,
                        "the VolumeSnapshots of " + String.join(", ", missing) + " were not cut within "
                                + timeout.toSeconds()
                                + " s: see what they and the operator say, or raise volumeSnapshots.timeoutSeconds");
            }
            LockSupport.parkNanos(POLL.toNanos());
        }
    }

    private List<String> missing() throws TorporException {
        List<VolumeSnapshotStatus> now = now();
        List<String> missing = new ArrayList<>();
        for (VolumeSnapshotStatus cut : planned(snapshot)) {
            String claim = Objects.requireNonNullElse(cut.claimName(), "");
            String name = VolumeSnapshotName.of(snapshot.getMetadata().getUid(), claim, pausedAt);
            Optional<VolumeSnapshotStatus> found = now.stream()
                    .filter(one -> claim.equals(one.claimName()) && name.equals(one.name()))
                    .findFirst();
            Optional<String> error = found.map(VolumeSnapshotStatus::error);
            if (error.isPresent()) {
                throw new TorporException(
                        FailureReason.VolumeSnapshotFailed,
                        "VolumeSnapshot " + name + " of claim " + claim + " failed: " + error.get());
            }
            if (found.map(VolumeSnapshotStatus::creationTime).isEmpty()) {
                missing.add(claim);
            }
        }
        return missing;
    }

    private List<VolumeSnapshotStatus> now() {
        try {
            return cluster.snapshot(
                            snapshot.getMetadata().getNamespace(),
                            snapshot.getMetadata().getName())
                    .filter(live -> Objects.equals(
                            live.getMetadata().getUid(), snapshot.getMetadata().getUid()))
                    .map(DiskCuts::planned)
                    .orElse(List.of());
        } catch (KubernetesClientException e) {
            LOG.debug("the API server does not answer while a guest is paused", e);
            return List.of();
        }
    }
}
