package dev.torpor.agent.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.metrics.AgentMetrics.LauncherAnswer;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.failure.FailureReason;
import dev.torpor.telemetry.metrics.Registries;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class AgentMetricsTest {
    private final PrometheusMeterRegistry registry = Registries.create();
    private final AgentMetrics metrics = new AgentMetrics(registry);

    @Test
    void endsAreCountedByOutcomeAndReason() {
        metrics.saveEnded(Outcome.DONE, Optional.empty());
        metrics.saveEnded(Outcome.FAILED, Optional.of(FailureReason.NotEnoughSpace));
        metrics.saveEnded(Outcome.FAILED, Optional.of(FailureReason.NotEnoughSpace));
        metrics.restoreEnded(Outcome.CANCELLED, Optional.of(FailureReason.Cancelled));
        assertThat(registry.scrape())
                .contains("torpor_agent_saves_total{outcome=\"done\",reason=\"none\"} 1.0")
                .contains("torpor_agent_saves_total{outcome=\"failed\",reason=\"NotEnoughSpace\"} 2.0")
                .contains("torpor_agent_restores_total{outcome=\"cancelled\",reason=\"Cancelled\"} 1.0")
                .contains("torpor_agent_restores_total{outcome=\"done\",reason=\"none\"} 0.0");
    }

    @Test
    void aSaveShowsItsBytesAndItsRate() {
        metrics.saved(Duration.ofSeconds(3), Duration.ofSeconds(2), 4_000_000_000L, false);
        metrics.paused(Duration.ofMillis(2500));
        assertThat(registry.scrape())
                .contains("torpor_agent_save_duration_seconds_sum 3.0")
                .contains("torpor_agent_save_duration_seconds_bucket{le=\"5.0\"} 1")
                .contains("torpor_agent_save_paused_seconds_sum 2.5")
                .contains("torpor_agent_save_written_bytes_total 4.0E9")
                .contains("torpor_agent_save_throughput_bytes_per_second_bucket{le=\"2.0E9\"} 1")
                .contains("torpor_agent_last_save_throughput_bytes_per_second 2.0E9");
    }

    @Test
    void howFastVmsAreSavedIsToldByNeitherASmallSaveNorACompressedOne() {
        assertThat(metrics.lastSaveRate()).isZero();
        metrics.saved(Duration.ofSeconds(3), Duration.ofSeconds(2), 4_000_000_000L, false);
        metrics.saved(Duration.ofSeconds(3), Duration.ofSeconds(2), 1_000_000L, false);
        metrics.saved(Duration.ofSeconds(30), Duration.ofSeconds(20), 4_000_000_000L, true);
        assertThat(metrics.lastSaveRate()).isEqualTo(2_000_000_000L);
        assertThat(registry.scrape())
                .contains("torpor_agent_save_written_bytes_total 8.001E9")
                .contains("torpor_agent_last_save_throughput_bytes_per_second 2.0E8");
    }

    @Test
    void answersToLaunchersShowFromTheStart() {
        metrics.answered(LauncherAnswer.WAIT);
        assertThat(registry.scrape())
                .contains("torpor_agent_launcher_answers_total{kind=\"boot\"} 0.0")
                .contains("torpor_agent_launcher_answers_total{kind=\"wait\"} 1.0");
    }
}
