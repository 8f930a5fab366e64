package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.work.TerminationDecision.Go;
import dev.torpor.agent.work.TerminationDecision.LookAgain;
import dev.torpor.agent.work.TerminationDecision.NodeDown;
import dev.torpor.agent.work.TerminationDecision.PodEnd;
import dev.torpor.agent.work.TerminationDecision.Save;
import dev.torpor.api.v1alpha1.OnTermination;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TerminationDecisionTest {
    private static final Instant NOW = Instant.parse("2026-01-01T00:00:00Z");

    private static PodEnd deleted(long secondsLeft, boolean disrupted, OnTermination policy) {
        return new PodEnd("db-0", Optional.of(NOW.plusSeconds(secondsLeft)), 30, disrupted, policy);
    }

    private static TerminationDecision of(PodEnd pod) {
        return of(pod, Optional.empty());
    }

    private static TerminationDecision of(PodEnd pod, Optional<NodeDown> down) {
        return TerminationDecision.of(false, Optional.of(pod), down, NOW, NOW);
    }

    /** As the API shows a pod that runs, and one that the kubelet ends by itself, until its containers have ended. */
    private static PodEnd unexplained(OnTermination policy) {
        return new PodEnd("db-0", Optional.empty(), 20, false, policy);
    }

    @ParameterizedTest
    @CsvSource({
        "ManagedSave, false, true",
        "ManagedSave, true, true",
        "OnDisruption, false, false",
        "OnDisruption, true, true",
        "Never, true, false",
        "Never, false, false"
    })
    void policySaysAtWhichEndsTheVmIsSaved(OnTermination policy, boolean disrupted, boolean saves) {
        assertThat(of(deleted(30, disrupted, policy)) instanceof Save).isEqualTo(saves);
    }

    @Test
    void aSaveEndsBeforeThePodIsKilled() {
        assertThat(of(deleted(30, false, OnTermination.ManagedSave)))
                .isInstanceOfSatisfying(Save.class, save -> assertThat(save.until())
                        .isBefore(NOW.plusSeconds(30))
                        .isAfter(NOW.plusSeconds(25)));
    }

    @Test
    void withNextToNoTimeLeftNothingIsBegun() {
        assertThat(of(deleted(2, false, OnTermination.ManagedSave))).isInstanceOf(Go.class);
    }

    @Test
    void whatAPodPretendsDoesNotCount() {
        PodEnd runs = unexplained(OnTermination.ManagedSave);

        assertThat(of(runs)).as("its end may not have reached the API").isInstanceOf(LookAgain.class);
        assertThat(TerminationDecision.of(
                        false,
                        Optional.of(runs),
                        Optional.empty(),
                        NOW.minus(TerminationDecision.UNKNOWN_PATIENCE),
                        NOW))
                .isInstanceOf(Go.class);
    }

    @Test
    void aNodeThatShutsDownEndsPodsWithoutDeletingThem() {
        assertThat(of(unexplained(OnTermination.OnDisruption), Optional.of(new NodeDown(Optional.empty()))))
                .isInstanceOfSatisfying(Save.class, save -> assertThat(save.until())
                        .isBefore(NOW.plusSeconds(20))
                        .isAfter(NOW.plusSeconds(15)));
        assertThat(of(unexplained(OnTermination.Never), Optional.of(new NodeDown(Optional.empty()))))
                .isInstanceOf(Go.class);
    }

    @ParameterizedTest
    @CsvSource({"10, 10", "60, 20"})
    void aSaveEndsBeforeTheMachineGoesDownToo(long downSeconds, long endSeconds) {
        NodeDown down = new NodeDown(Optional.of(NOW.plusSeconds(downSeconds)));

        assertThat(of(unexplained(OnTermination.ManagedSave), Optional.of(down)))
                .isInstanceOfSatisfying(Save.class, save -> assertThat(save.until())
                        .isBefore(NOW.plusSeconds(endSeconds))
                        .isAfter(NOW.plusSeconds(endSeconds - 5)));
    }

    @Test
    void aShutdownDoesNotMakeADisruptionOfADeletion() {
        assertThat(of(deleted(30, false, OnTermination.OnDisruption), Optional.of(new NodeDown(Optional.empty()))))
                .isInstanceOf(Go.class);
    }

    @Test
    void aSavedPodAndOneThatIsGoneNeedNothing() {
        PodEnd saved = deleted(30, true, OnTermination.ManagedSave);

        assertThat(TerminationDecision.of(true, Optional.of(saved), Optional.empty(), NOW, NOW))
                .isInstanceOf(Go.class);
        assertThat(TerminationDecision.of(false, Optional.empty(), Optional.empty(), NOW, NOW))
                .isInstanceOf(Go.class);
    }

    @ParameterizedTest
    @CsvSource({"ManagedSave, ManagedSave", "Never, Never", "nonsense, OnDisruption", ", OnDisruption"})
    void anAnnotationThatSaysNothingMeansTheDefault(String value, OnTermination policy) {
        assertThat(OnTermination.of(value)).isEqualTo(policy);
    }
}
