package dev.torpor.operator.admission;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.LauncherWiring;
import io.fabric8.kubernetes.api.model.Container;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/** Which container of a pod runs QEMU. */
sealed interface QemuContainer {
    record Found(Container container) implements QemuContainer {}

    record Unclear(Denial denial) implements QemuContainer {}

    /** The only container, or the one that the pod's annotation names, or the one that the launcher already starts. */
    static QemuContainer of(PodRequest request) {
        List<Container> containers = request.pod().getSpec().getContainers();
        String named = request.annotations().get(Torpor.CONTAINER_ANNOTATION);
        if (named != null) {
            return find(containers, named)
                    .<QemuContainer>map(Found::new)
                    .orElseGet(() -> new Unclear(Denial.invalid(
                            "VM pod %s: annotation %s names container '%s', but the pod has %s. Name one of those."
                                    .formatted(
                                            request.name(), Torpor.CONTAINER_ANNOTATION, named, names(containers)))));
        }
        List<Container> launched =
                containers.stream().filter(LauncherWiring::isLaunched).toList();
        if (launched.size() == 1) {
            return new Found(launched.getFirst());
        }
        if (containers.size() == 1) {
            return new Found(containers.getFirst());
        }
        return new Unclear(Denial.invalid(
                "VM pod %s has the containers %s, and nothing says which one runs QEMU. Name it in the annotation %s of the pod."
                        .formatted(request.name(), names(containers), Torpor.CONTAINER_ANNOTATION)));
    }

    private static Optional<Container> find(List<Container> containers, String name) {
        return containers.stream()
                .filter(container -> name.equals(container.getName()))
                .findFirst();
    }

    private static String names(List<Container> containers) {
        return containers.stream().map(Container::getName).collect(Collectors.joining(", "));
    }
}
