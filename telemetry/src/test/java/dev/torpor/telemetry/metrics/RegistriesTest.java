package dev.torpor.telemetry.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Timer;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class RegistriesTest {
    @Test
    void theJvmSpeaksForItself() {
        assertThat(Registries.create().scrape())
                .contains("jvm_memory_used_bytes{area=\"heap\"")
                .contains("jvm_threads_live_threads ")
                .contains("process_cpu_usage ")
                .contains("process_files_open_files ")
                .contains("process_uptime_seconds ");
    }

    @Test
    void aScrapeIsReadAsItIsDocumented() {
        PrometheusMeterRegistry registry = Registries.create();
        Counter.builder("torpor.test.saves")
                .description("saves that ended")
                .tag("outcome", "saved")
                .register(registry);
        Timer.builder("torpor.test.save.duration")
                .description("from begin to end")
                .serviceLevelObjectives(Registries.saveBuckets())
                .register(registry)
                .record(Duration.ofSeconds(3));
        String scrape = registry.scrape();
        assertThat(scrape).contains("torpor_test_save_duration_seconds_bucket{le=\"5.0\"} 1");
        assertThat(DocumentedMetrics.exposed(scrape, "torpor_test_"))
                .containsExactly(
                        "| `torpor_test_save_duration_seconds` | histogram |  | from begin to end |",
                        "| `torpor_test_saves_total` | counter | `outcome` | saves that ended |");
    }
}
