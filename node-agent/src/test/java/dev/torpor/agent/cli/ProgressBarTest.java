package dev.torpor.agent.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.time.Duration;
import org.junit.jupiter.api.Test;

class ProgressBarTest {
    private static final long MIB = 1 << 20;

    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private long nanos;

    private ProgressBar bar(boolean terminal) {
        return new ProgressBar("saving", new PrintStream(out, true, UTF_8), terminal, () -> nanos);
    }

    private void after(Duration time) {
        nanos += time.toNanos();
    }

    @Test
    void linesComeEveryTwoSeconds() {
        try (ProgressBar bar = bar(false)) {
            for (int i = 1; i <= 10; i++) {
                after(Duration.ofMillis(500));
                bar.progress(i * 100L * MIB, 2000 * MIB);
            }
        }
        assertThat(out.toString(UTF_8).lines())
                .containsExactly(
                        "saving 20 %, 400 MiB of 1.95 GiB, 200 MiB/s, 8 s left",
                        "saving 40 %, 800 MiB of 1.95 GiB, 200 MiB/s, 6 s left");
    }

    @Test
    void barMovesOnItsLineAndTheLineIsEnded() {
        try (ProgressBar bar = bar(true)) {
            after(Duration.ofSeconds(1));
            bar.progress(50 * MIB, 100 * MIB);
            bar.progress(51 * MIB, 100 * MIB);
            after(Duration.ofSeconds(1));
            bar.progress(120 * MIB, 100 * MIB);
        }
        assertThat(out.toString(UTF_8))
                .isEqualTo("\r[###############---------------] saving 50 %, 50.0 MiB of 100 MiB, 50.0 MiB/s, 1 s left"
                        + "\u001b[K\r[##############################] saving 100 %, 100 MiB of 100 MiB, 50.0 MiB/s"
                        + "\u001b[K" + System.lineSeparator());
    }

    @Test
    void nothingIsShownWhileTheTotalIsUnknown() {
        try (ProgressBar bar = bar(true)) {
            after(Duration.ofSeconds(9));
            bar.progress(1, 0);
        }
        assertThat(out.size()).isZero();
    }
}
