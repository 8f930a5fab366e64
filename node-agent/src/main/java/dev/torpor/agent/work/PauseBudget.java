package dev.torpor.agent.work;

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
    /** Measured saves reach 1.3 to 1.9 GB/s with one VM at work; a slow disk or several VMs make it less. */
    private static final long EXPECTED_BYTES_PER_SECOND = 1L << 30;

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
     * Refuses a save that would take longer.
     *
     * @param bytes that it writes, at most
     * @param bytesPerSecondMax that it may write; 0: as fast as it can
     * @throws TorporException LivenessProbeTooShort
     */
    void require(long bytes, long bytesPerSecondMax) throws TorporException {
        long rate = bytesPerSecondMax == 0
                ? EXPECTED_BYTES_PER_SECOND
                : Math.min(bytesPerSecondMax, EXPECTED_BYTES_PER_SECOND);
        long pause = Math.ceilDiv(bytes, rate);
        if (pause > seconds) {
            throw new TorporException(
                    FailureReason.LivenessProbeTooShort,
                    "the liveness probe of container %s gives up after %d s, and a save of up to %d MiB pauses the guest for about %d s: the kubelet would end QEMU in the middle. Raise failureThreshold in the next pod, let a command ask QEMU and not the guest, or lift the bandwidth limit"
                            .formatted(container, seconds, bytes >> 20, pause));
        }
    }
}
