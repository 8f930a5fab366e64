package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.Probe;
import io.fabric8.kubernetes.api.model.ProbeBuilder;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PauseBudgetTest {
    private static final long GIB = 1L << 30;

    @Test
    void aProbeOfTheGuestSetsIt() {
        Probe http = new ProbeBuilder()
                .withNewHttpGet()
                .withPath("/")
                .endHttpGet()
                .withPeriodSeconds(5)
                .withFailureThreshold(4)
                .build();
        assertThat(PauseBudget.of(pod(http, true))).contains(new PauseBudget("qemu", 20));
        Probe tcp = new ProbeBuilder().withNewTcpSocket().endTcpSocket().build();
        assertThat(PauseBudget.of(pod(tcp, true)))
                .as("by the kubelet's defaults")
                .contains(new PauseBudget("qemu", 30));
    }

    @Test
    void whatNobodyAsksTheGuestSetsNone() {
        Probe command =
                new ProbeBuilder().withNewExec().withCommand("true").endExec().build();
        assertThat(PauseBudget.of(pod(command, true))).isEmpty();
        assertThat(PauseBudget.of(pod(null, true))).isEmpty();
        Probe ofAnother = new ProbeBuilder().withNewTcpSocket().endTcpSocket().build();
        assertThat(PauseBudget.of(pod(ofAnother, false))).isEmpty();
    }

    @ParameterizedTest
    @CsvSource({"20, 0", "10, 536870912", "20, 4294967296"})
    void aSaveThatIsDoneInTimeIsBegun(long gib, long bytesPerSecondMax) {
        assertThatCode(() -> new PauseBudget("qemu", 20).require(gib * GIB, bytesPerSecondMax))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource({"21, 0, 21", "11, 536870912, 22", "1, 1048576, 1024"})
    void oneThatTheKubeletWouldCutOffIsNot(long gib, long bytesPerSecondMax, long seconds) {
        TorporException refused = catchThrowableOfType(
                TorporException.class, () -> new PauseBudget("qemu", 20).require(gib * GIB, bytesPerSecondMax));
        assertThat(refused.reason()).isEqualTo(FailureReason.LivenessProbeTooShort);
        assertThat(refused)
                .hasMessageContaining("gives up after 20 s")
                .hasMessageContaining("pauses the guest for about " + seconds + " s");
    }

    private static Pod pod(@Nullable Probe probe, boolean ofQemu) {
        var container = new ContainerBuilder().withName("qemu").withLivenessProbe(probe);
        if (ofQemu) {
            container.addNewVolumeMount().withName("torpor").endVolumeMount();
        }
        return new PodBuilder()
                .withNewSpec()
                .withContainers(List.of(container.build()))
                .endSpec()
                .build();
    }
}
