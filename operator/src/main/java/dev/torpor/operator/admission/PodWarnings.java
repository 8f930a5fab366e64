package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Probe;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What the author of a VM's pod should know, though the pod is accepted. */
final class PodWarnings {
    /** Measured saves reach 1.3 to 1.9 GB/s with one VM at work; a slow disk or several VMs make it less. */
    private static final long EXPECTED_BYTES_PER_SECOND = 1L << 30;

    private static final int DEFAULT_PERIOD_SECONDS = 10;
    private static final int DEFAULT_FAILURES = 3;

    private PodWarnings() {}

    /** Returns the warnings for a pod that is created. */
    static List<String> of(PodRequest request) {
        List<String> warnings = new ArrayList<>();
        if (!request.willBeLaunched()) {
            warnings.add(notInjected(request, "its annotation %s says so".formatted(Torpor.INJECT_ANNOTATION)));
        }
        if (QemuContainer.of(request) instanceof QemuContainer.Found(Container qemu)) {
            QemuArguments arguments = new QemuArguments(qemu);
            probe(request, qemu, "liveness", qemu.getLivenessProbe(), arguments).ifPresent(warnings::add);
            probe(request, qemu, "startup", qemu.getStartupProbe(), arguments).ifPresent(warnings::add);
            if (arguments.hasVersionedMachine().equals(Optional.of(false))) {
                warnings.add(
                        "VM pod %s: QEMU is told no versioned machine type, such as -machine pc-q35-10.0. An image is restored only into the type that it was saved from, and an unversioned one is another with the next QEMU."
                                .formatted(request.name()));
            }
        }
        return warnings;
    }

    /** Returns the warning for a pod without the launcher. */
    static String notInjected(PodRequest request, String why) {
        return "NotInjected: VM pod %s does not start QEMU through the launcher: %s. Its VM cannot be saved (VMSnapshots fail with LauncherMissing)."
                .formatted(request.name(), why);
    }

    private static Optional<String> probe(
            PodRequest request, Container qemu, String kind, @Nullable Probe probe, QemuArguments arguments) {
        if (probe == null) {
            return Optional.empty();
        }
        int period = Objects.requireNonNullElse(probe.getPeriodSeconds(), DEFAULT_PERIOD_SECONDS);
        int failures = Objects.requireNonNullElse(probe.getFailureThreshold(), DEFAULT_FAILURES);
        long budget = (long) period * failures;
        return arguments
                .memoryBytes()
                .filter(memory -> pauseSeconds(memory) > budget)
                .map(memory ->
                        "VM pod %s: the %s probe of container %s gives up after %d s (periodSeconds %d × failureThreshold %d), but saving or loading %s pauses the guest for about %d s at 1 GiB/s, and the kubelet would kill it. Set failureThreshold to %d or more, or let a probe ask QEMU instead of the guest."
                                .formatted(
                                        request.name(),
                                        kind,
                                        qemu.getName(),
                                        budget,
                                        period,
                                        failures,
                                        size(memory),
                                        pauseSeconds(memory),
                                        Math.ceilDiv(pauseSeconds(memory) * 2, period)));
    }

    private static long pauseSeconds(long memoryBytes) {
        return Math.ceilDiv(memoryBytes, EXPECTED_BYTES_PER_SECOND);
    }

    private static String size(long bytes) {
        return bytes % (1L << 30) == 0 ? (bytes >> 30) + " GiB" : (bytes >> 20) + " MiB";
    }
}
