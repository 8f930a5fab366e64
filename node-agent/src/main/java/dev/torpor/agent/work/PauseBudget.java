package dev.torpor.agent.work;

import dev.torpor.agent.image.Compression;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Probe;
import java.util.Comparator;
import java.util.Objects;
import java.util.Optional;

/**
 * How long the kubelet lets a guest be paused before it ends QEMU: as long as a liveness probe bears that nobody answers.
 *
 * @param container name of QEMU's container
 * @param seconds periodSeconds × failureThreshold of its probe
 */
record PauseBudget(String container, long seconds) {
    private static final int DEFAULT_PERIOD_SECONDS = 10;
    private static final int DEFAULT_FAILURES = 3;

    /**
     * Returns that of a VM's pod.
     *
     * @return empty if there is no probe that asks the guest: what a command in the container asks, nobody can tell
     */
    static Optional<PauseBudget> of(Pod pod) {
        return pod.getSpec().getContainers().stream()
                .filter(PauseBudget::isQemus)
                .filter(container -> container.getLivenessProbe() != null
                        && container.getLivenessProbe().getExec() == null)
                .map(container -> of(container, container.getLivenessProbe()))
                .min(Comparator.comparingLong(PauseBudget::seconds));
    }

    // It is the one that has the launcher's volume.
    private static boolean isQemus(Container container) {
        return container.getVolumeMounts() != null
                && container.getVolumeMounts().stream()
                        .anyMatch(mount -> PodDirectories.VOLUME.equals(mount.getName()));
    }

    private static PauseBudget of(Container container, Probe probe) {
        long period = Objects.requireNonNullElse(probe.getPeriodSeconds(), DEFAULT_PERIOD_SECONDS);
        long failures = Objects.requireNonNullElse(probe.getFailureThreshold(), DEFAULT_FAILURES);
        return new PauseBudget(container.getName(), period * failures);
    }

    /**
     * Returns how fast memory is taken to be saved. Measured with one VM at work, 4 channels, 2 processors, the lowest level and
     * 2 GiB, half of which can be compressed: 1.3 to 1.9 GB/s uncompressed, 160 MB/s with zlib, 440 MB/s with zstd. A slow
     * disk, several VMs or a higher level make it less, more processors more.
     */
    static long expectedBytesPerSecond(Compression.Method method) {
        return switch (method) {
            case NONE -> 1L << 30;
            case ZLIB -> 100L << 20;
            case ZSTD -> 300L << 20;
        };
    }

    /**
     * Refuses a save that would take longer.
     *
     * @param bytes of memory that it saves, at most
     * @param bytesPerSecondMax that it may write; 0: as fast as it can
     * @param method by which QEMU compresses
     * @throws TorporException LivenessProbeTooShort
     */
    void require(long bytes, long bytesPerSecondMax, Compression.Method method) throws TorporException {
        long expected = expectedBytesPerSecond(method);
        // What compression makes of the limit is not known before.
        long rate = bytesPerSecondMax == 0 ? expected : Math.min(bytesPerSecondMax, expected);
        long pause = Math.ceilDiv(bytes, rate);
        if (pause > seconds) {
            boolean compresses = method != Compression.Method.NONE;
            throw new TorporException(
                    FailureReason.LivenessProbeTooShort,
                    "the liveness probe of container %s gives up after %d s, and a save of up to %d MiB%s pauses the guest for about %d s: the kubelet would end QEMU in the middle. Raise failureThreshold in the next pod, let a command ask QEMU and not the guest, or lift the bandwidth limit%s"
                            .formatted(
                                    container,
                                    seconds,
                                    bytes >> 20,
                                    compresses ? " with " + method.word() : "",
                                    pause,
                                    compresses ? ", or save without compression" : ""));
        }
    }
}
