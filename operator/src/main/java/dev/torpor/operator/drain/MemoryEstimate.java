package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.vm.LauncherWiring;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Quantity;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * How much memory a VM has, as far as its pod tells: the request of the QEMU container, else its limit. Good enough to say
 * which save is shorter; QEMU itself is asked only by the agent.
 */
final class MemoryEstimate {
    private static final String MEMORY = "memory";

    private MemoryEstimate() {}

    /** Returns bytes; empty if the pod says nothing. */
    static OptionalLong of(Pod pod) {
        return pod.getSpec().getContainers().stream()
                .filter(container -> pod.getSpec().getContainers().size() == 1 || LauncherWiring.isLaunched(container))
                .flatMap(container -> quantity(container).stream())
                .mapToLong(quantity -> Quantity.getAmountInBytes(quantity).longValue())
                .findFirst();
    }

    /** Returns what was recorded of a save; 0 if nothing was. */
    static long of(VMSnapshot save) {
        String bytes = SaveProgress.annotations(save).get(Torpor.MEMORY_ANNOTATION);
        return bytes != null && bytes.matches("[0-9]{1,18}") ? Long.parseLong(bytes) : 0;
    }

    private static Optional<Quantity> quantity(Container container) {
        if (container.getResources() == null) {
            return Optional.empty();
        }
        return Optional.ofNullable(container.getResources().getRequests())
                .map(requests -> requests.get(MEMORY))
                .or(() -> Optional.ofNullable(container.getResources().getLimits())
                        .map((Map<String, Quantity> limits) -> limits.get(MEMORY)));
    }
}
