package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.Compression;
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
    @CsvSource({"20, 0, NONE", "10, 536870912, NONE", "20, 4294967296, NONE", "5, 0, ZSTD", "1, 0, ZLIB"})
    void aSaveThatIsDoneInTimeIsBegun(long gib, long bytesPerSecondMax, Compression.Method method) {
        assertThatCode(() -> new PauseBudget("qemu", 20).require(gib * GIB, bytesPerSecondMax, method))
                .doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource({
        "21, 0, NONE, 21",
        "11, 536870912, NONE, 22",
        "1, 1048576, NONE, 1024",
        "6, 0, ZSTD, 21",
        "2, 0, ZLIB, 21",
        "1, 1048576, ZLIB, 1024"
    })
    void oneThatTheKubeletWouldCutOffIsNot(long gib, long bytesPerSecondMax, Compression.Method method, long seconds) {
        TorporException refused = catchThrowableOfType(
                TorporException.class, () -> new PauseBudget("qemu", 20).require(gib * GIB, bytesPerSecondMax, method));
        assertThat(refused.reason()).isEqualTo(FailureReason.LivenessProbeTooShort);
        assertThat(refused)
                .hasMessageContaining("gives up after 20 s")
                .hasMessageContaining(
                        gib * 1024 + " MiB" + (method == Compression.Method.NONE ? "" : " with " + method.word())
                                + " pauses the guest for about " + seconds + " s");
        assertThat(String.valueOf(refused.getMessage()).endsWith(", or save without compression"))
                .isEqualTo(method != Compression.Method.NONE);
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
