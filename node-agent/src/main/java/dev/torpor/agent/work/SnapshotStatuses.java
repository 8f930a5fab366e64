package dev.torpor.agent.work;

import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.CompressionMethod;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.ImageStatus;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VMStatus;
import io.fabric8.kubernetes.api.model.Condition;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalDouble;
import org.jspecify.annotations.Nullable;

/** Builds the agent's part of a VMSnapshot's status: always all of it, from what was there and what is new. */
final class SnapshotStatuses {
    private SnapshotStatuses() {}

    /** The save waits for something that may pass. */
    static VMSnapshotStatus held(VMSnapshot seen, String reason, String message, Instant now) {
        VMSnapshotStatus own = ours(seen);
        own.setPausedAt(null);
        own.setProgress(null);
        put(own, seen, ConditionType.SAVED, false, reason, message, now);
        return own;
    }

    /** The save began. */
    static VMSnapshotStatus saving(VMSnapshot seen, SavePlan plan, Instant startedAt, Instant now) {
        VMSnapshotStatus own = ours(seen);
        own.setPausedAt(null);
        own.setStartTime(Conditions.time(startedAt));
        own.setEngine(plan.engine().word());
        own.setCompression(compression(plan.compression()));
        own.setChannels(plan.channels());
        own.setDirectIO(plan.directIO());
        String message = "memory is being written by " + plan.channels() + " channels"
                + (plan.directIO() ? " with direct I/O" : " through the page cache")
                + (plan.compression().method() == Compression.Method.NONE
                        ? ""
                        : ", compressed with " + plan.compression().method().word());
        put(own, seen, ConditionType.SAVED, false, "Saving", message, now);
        return own;
    }

    /** The save is to end, and something that is under way does not let it. */
    static VMSnapshotStatus givingUp(VMSnapshot seen, String why, Instant now) {
        VMSnapshotStatus own = ours(seen);
        put(
                own,
                seen,
                ConditionType.SAVED,
                false,
                "Saving",
                why + "; QEMU, or the store's disk, is still at work, and the VM goes on when it is done",
                now);
        return own;
    }

    /** The guest is paused, and VolumeSnapshots can be taken. */
    static VMSnapshotStatus paused(VMSnapshot seen, String pausedAt) {
        VMSnapshotStatus own = ours(seen);
        own.setPausedAt(pausedAt);
        return own;
    }

    /** Returns the API's word; none for an image whose pages are as they were. */
    private static @Nullable CompressionMethod compression(Compression compression) {
        return switch (compression.method()) {
            case NONE -> null;
            case ZLIB -> CompressionMethod.Zlib;
            case ZSTD -> CompressionMethod.Zstd;
        };
    }

    /** So far. */
    static VMSnapshotStatus progress(VMSnapshot seen, Progress progress) {
        VMSnapshotStatus own = ours(seen);
        own.setProgress(progress);
        return own;
    }

    /**
     * The image is committed.
     *
     * @param paused seconds for which the guest was paused, where this process knows
     * @param quiesced whether the guest's file systems were frozen for it, where this process knows
     */
    static VMSnapshotStatus saved(
            VMSnapshot seen, CommittedImage image, OptionalDouble paused, Optional<Boolean> quiesced, Instant now) {
        ImageHeader header = image.header();
        VmDefinition vm = header.vm();
        VMSnapshotStatus own = ours(seen);
        own.setPausedAt(null);
        own.setStartTime(Conditions.time(header.startedAt()));
        own.setCompletionTime(Conditions.time(header.completedAt()));
        paused.ifPresent(seconds -> own.setPausedSeconds(Math.round(seconds * 1000) / 1000.0));
        quiesced.ifPresent(own::setQuiesced);
        own.setEngine(header.engine());
        own.setCompression(image.layout()
                .channels()
                .map(ChannelLayout::compression)
                .map(SnapshotStatuses::compression)
                .orElse(null));
        own.setChannels(header.channels());
        own.setDirectIO(header.directIO());
        own.setImage(new ImageStatus(
                image.id().relativePath(), image.sizeBytes(), image.allocatedBytes(), image.formatVersion()));
        own.setVm(new VMStatus(vm.qemuVersion(), vm.machineType(), vm.memoryBytes(), vm.vcpus(), header.wasRunning()));
        double seconds = java.time.Duration.between(header.startedAt(), header.completedAt())
                        .toMillis()
                / 1000.0;
        long totalBytes =
                vm.ramBlocks().values().stream().mapToLong(Long::longValue).sum();
        own.setProgress(ProgressMeter.finished(totalBytes, seconds));
        put(
                own,
                seen,
                ConditionType.SAVED,
                true,
                "Committed",
                "the image is flushed and recorded on the node's disk",
                now);
        put(own, seen, ConditionType.IMAGE_AVAILABLE, true, "Committed", "lengths and checksums hold", now);
        return own;
    }

    /** The image is there, or not any more, for a reason. */
    static VMSnapshotStatus image(VMSnapshot seen, boolean available, String reason, String message, Instant now) {
        VMSnapshotStatus own = ours(seen);
        put(own, seen, ConditionType.IMAGE_AVAILABLE, available, reason, message, now);
        return own;
    }

    /** The image is there, and every page of it was read back. */
    static VMSnapshotStatus verified(VMSnapshot seen, Instant verifiedAt, Instant now) {
        VMSnapshotStatus own = image(seen, true, "Committed", "lengths and checksums hold", now);
        own.setVerifiedTime(Conditions.time(verifiedAt));
        put(own, seen, ConditionType.VERIFIED, true, "ReadBack", "all pages were read back and have checksums", now);
        return own;
    }

    /** The image is there, and its pages are not read back, as its owner wants it. */
    static VMSnapshotStatus notVerified(VMSnapshot seen, Instant now) {
        VMSnapshotStatus own = image(seen, true, "Committed", "lengths and checksums hold", now);
        put(
                own,
                seen,
                ConditionType.VERIFIED,
                false,
                "NotWanted",
                "verify is Never: the pages were not read back, and restores with strategy Auto load all memory",
                now);
        return own;
    }

    /** Its pages cannot be read back. */
    static VMSnapshotStatus damaged(VMSnapshot seen, String reason, String message, Instant now) {
        VMSnapshotStatus own = image(seen, false, reason, message, now);
        put(own, seen, ConditionType.VERIFIED, false, reason, message, now);
        return own;
    }

    /** It failed for good. */
    static VMSnapshotStatus failed(VMSnapshot seen, String reason, String message, Instant now) {
        VMSnapshotStatus own = ours(seen);
        own.setPausedAt(null);
        own.setProgress(null);
        own.setCompletionTime(Conditions.time(now));
        own.setFailure(new FailureStatus(reason, message));
        put(own, seen, ConditionType.SAVED, false, reason, message, now);
        return own;
    }

    /** The VM is shut down, or not (yet), for a reason. */
    static VMSnapshotStatus shutDown(VMSnapshot seen, boolean done, String reason, String message, Instant now) {
        VMSnapshotStatus own = ours(seen);
        put(own, seen, ConditionType.SHUT_DOWN, done, reason, message, now);
        return own;
    }

    private static void put(
            VMSnapshotStatus own,
            VMSnapshot seen,
            String type,
            boolean status,
            String reason,
            String message,
            Instant now) {
        List<Condition> before = before(seen);
        Long generation = seen.getMetadata().getGeneration();
        own.setConditions(Conditions.with(
                own.getConditions(), Conditions.next(before, type, status, reason, message, generation, now)));
    }

    private static VMSnapshotStatus ours(VMSnapshot seen) {
        VMSnapshotStatus own = new VMSnapshotStatus();
        VMSnapshotStatus all = seen.getStatus();
        if (all != null) {
            own.setProgress(all.getProgress());
            own.setEngine(all.getEngine());
            own.setCompression(all.getCompression());
            own.setChannels(all.getChannels());
            own.setDirectIO(all.getDirectIO());
            own.setImage(all.getImage());
            own.setVm(all.getVm());
            own.setStartTime(all.getStartTime());
            own.setCompletionTime(all.getCompletionTime());
            own.setPausedAt(all.getPausedAt());
            own.setPausedSeconds(all.getPausedSeconds());
            own.setQuiesced(all.getQuiesced());
            own.setVerifiedTime(all.getVerifiedTime());
            own.setHandledVerifyRequest(all.getHandledVerifyRequest());
            own.setFailure(all.getFailure());
        }
        List<Condition> conditions = new ArrayList<>();
        keep(before(seen), ConditionType.SAVED).ifPresent(conditions::add);
        keep(before(seen), ConditionType.IMAGE_AVAILABLE).ifPresent(conditions::add);
        keep(before(seen), ConditionType.SHUT_DOWN).ifPresent(conditions::add);
        keep(before(seen), ConditionType.VERIFIED).ifPresent(conditions::add);
        own.setConditions(conditions);
        return own;
    }

    private static @Nullable List<Condition> before(VMSnapshot seen) {
        return seen.getStatus() == null ? null : seen.getStatus().getConditions();
    }

    private static Optional<Condition> keep(@Nullable List<Condition> before, String type) {
        return Conditions.find(before, type);
    }
}
