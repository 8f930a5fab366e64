package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VolumeSnapshotsSpec;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A save that a VMSnapshot asks for; its status tells how it goes. */
final class SnapshotOrder implements SaveOrder {
    private static final Logger LOG = LoggerFactory.getLogger(SnapshotOrder.class);

    private final Node node;
    private final SnapshotView snapshot;
    private final AtomicBoolean saidToGiveUp = new AtomicBoolean();
    private volatile VMSnapshot begun;
    private Optional<DiskCuts> cuts = Optional.empty();

    SnapshotOrder(Node node, SnapshotView snapshot) {
        this.node = node;
        this.snapshot = snapshot;
        this.begun = snapshot.object();
    }

    @Override
    public ImageId image() {
        return snapshot.image();
    }

    @Override
    public ImageMode mode() {
        return snapshot.mode();
    }

    @Override
    public boolean probed() {
        return true;
    }

    @Override
    public List<VmDisks.Claim> claims() {
        List<ObjectName> claims = snapshot.object().getStatus().getClaims();
        return claims == null
                ? List.of()
                : claims.stream()
                        .map(claim -> new VmDisks.Claim(
                                Objects.requireNonNullElse(claim.name(), ""),
                                Objects.requireNonNullElse(claim.uid(), "")))
                        .toList();
    }

    @Override
    public void planned(SavePlan plan, Instant startedAt) throws TorporException {
        begun = publish(plan, startedAt);
    }

    @Override
    public void recorded() {}

    @Override
    public void paused(Instant at) {
        if (DiskCuts.planned(begun).isEmpty()) {
            return;
        }
        // To the millisecond: a save that is tried again is another pause.
        String pausedAt = at.truncatedTo(ChronoUnit.MILLIS).toString();
        VolumeSnapshotsSpec wanted =
                VolumeSnapshotsSpec.of(snapshot.object().getSpec(), defaults().orElse(null));
        cuts = Optional.of(new DiskCuts(
                node.cluster(),
                begun,
                pausedAt,
                Duration.ofSeconds(wanted == null ? 0 : wanted.timeoutSecondsOrDefault())));
        begun = switch (node.status()
                .news(StatusOwner.SNAPSHOT_AGENT, begun, SnapshotStatuses.paused(begun, pausedAt))) {
            case WriteResult.Written<VMSnapshot>(VMSnapshot object) -> object;
            case WriteResult.Unchanged<VMSnapshot> _ -> begun;
            case WriteResult.Stale<VMSnapshot> _, WriteResult.Gone<VMSnapshot> _ ->
                throw new ChangedMeanwhileException();
        };
        LOG.info("VMSnapshot {}: the guest is paused for VolumeSnapshots", snapshot.name());
    }

    @Override
    public void awaitDisks(Cancellation cancellation) throws TorporException {
        if (cuts.isPresent()) {
            cuts.get().await(cancellation);
        }
    }

    @Override
    public void progress(Progress progress) {
        var _ = node.status().news(StatusOwner.SNAPSHOT_AGENT, begun, SnapshotStatuses.progress(begun, progress));
    }

    @Override
    public void givingUp(String why) {
        if (saidToGiveUp.get()) {
            return;
        }
        switch (node.status()
                .news(
                        StatusOwner.SNAPSHOT_AGENT,
                        begun,
                        SnapshotStatuses.givingUp(begun, why, node.clock().instant()))) {
            case WriteResult.Written<VMSnapshot>(VMSnapshot object) -> {
                begun = object;
                saidToGiveUp.set(true);
            }
            case WriteResult.Unchanged<VMSnapshot> _ -> saidToGiveUp.set(true);
            case WriteResult.Stale<VMSnapshot> _, WriteResult.Gone<VMSnapshot> _ -> {
                // said at the next tick, if there is one
            }
        }
    }

    /** A drain wants the VM saved; how is only its class's wish. */
    @Override
    public Optional<SaveOptions> otherwise() {
        return snapshot.isOfDrain() ? Optional.of(options().with(Compression.NONE)) : Optional.empty();
    }

    @Override
    public SaveOptions options() {
        return ClassDefaults.of(Optional.ofNullable(snapshot.object().getSpec().parallel()), defaults());
    }

    private Optional<VMSnapshotClassSpec> defaults() {
        return Optional.ofNullable(snapshot.object().getStatus().getClassName()).flatMap(node.cluster()::snapshotClass);
    }

    private VMSnapshot publish(SavePlan plan, Instant startedAt) throws TorporException {
        VMSnapshot seen = snapshot.object();
        return switch (node.status()
                .transition(
                        StatusOwner.SNAPSHOT_AGENT, seen, SnapshotStatuses.saving(seen, plan, startedAt, startedAt))) {
            case WriteResult.Written<VMSnapshot>(VMSnapshot object) -> object;
            case WriteResult.Unchanged<VMSnapshot> _ -> seen;
            case WriteResult.Stale<VMSnapshot>(String detail) -> {
                LOG.debug("{}: {}", snapshot.name(), detail);
                throw new ChangedMeanwhileException();
            }
            case WriteResult.Gone<VMSnapshot> _ -> throw new ChangedMeanwhileException();
        };
    }
}
