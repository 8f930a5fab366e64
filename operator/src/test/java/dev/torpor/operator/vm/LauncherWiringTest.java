package dev.torpor.operator.vm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class LauncherWiringTest {
    @Test
    void wiredPodNamesItsContainer() throws Exception {
        assertThat(LauncherWiring.qemuContainer(
                        TestPods.running("web-pod", "u1").build()))
                .isEqualTo("qemu");
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource
    void missingPartIsNamed(String lacks, Consumer<Pod> remove) {
        Pod pod = TestPods.running("web-pod", "u1").build();
        remove.accept(pod);

        assertThatThrownBy(() -> LauncherWiring.qemuContainer(pod))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.LauncherMissing))
                .hasMessage(
                        "Pod web-pod does not start QEMU through the launcher: it lacks %s. Start the VM from a pod that is wired as in the examples. The VM runs.",
                        lacks);
    }

    static Stream<Arguments> missingPartIsNamed() {
        return Stream.of(
                Arguments.of("an emptyDir volume named torpor", (Consumer<Pod>)
                        pod -> pod.getSpec().setVolumes(List.of())),
                Arguments.of("an init container that mounts volume torpor and installs the launcher", (Consumer<Pod>)
                        pod -> pod.getSpec().setInitContainers(List.of())),
                Arguments.of("exactly one container whose command begins with /run/torpor/bin/launch", (Consumer<Pod>)
                        pod -> pod.getSpec().getContainers().getFirst().setCommand(List.of("qemu-system-x86_64"))),
                Arguments.of("volume torpor mounted at /run/torpor in container qemu", (Consumer<Pod>)
                        pod -> pod.getSpec().getContainers().getFirst().setVolumeMounts(List.of())));
    }
}
