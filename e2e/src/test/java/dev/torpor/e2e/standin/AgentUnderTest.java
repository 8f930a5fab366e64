package dev.torpor.e2e.standin;

import dev.torpor.agent.work.AgentConfig;
import dev.torpor.agent.work.AgentProcess;
import dev.torpor.agent.work.ScrubSettings;
import dev.torpor.agent.work.Step;
import dev.torpor.agent.work.StepHook;
import dev.torpor.telemetry.log.LogSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.Optional;

/**
 * The agent as a process that writes down its steps, and may die by SIGKILL at one of them. Arguments: node, store,
 * kubelet root, file for the steps, where to die ({@code before SAVE_PAUSE}; {@code never}) or to wait ({@code wait before
 * SAVE_COMMIT}, until the file of that name beside that of the steps is gone), seconds of grace, HTTP port,
 * socket of the system bus (empty: none).
 */
final class AgentUnderTest {
    private AgentUnderTest() {}

    public static void main(String[] args) throws Exception {
        LogSettings logs = LogSettings.parse(System.getenv(), problem -> {
            throw new IllegalArgumentException(problem);
        });
        AgentConfig config = new AgentConfig(
                args[0],
                "under test",
                Path.of(args[1]),
                false,
                Path.of(args[2]),
                "torpor-system",
                Integer.parseInt(System.getenv().getOrDefault("TORPOR_TEST_SAVES_AT_ONCE", "2")),
                Integer.parseInt(args[6]),
                Duration.ofSeconds(Long.parseLong(args[5])),
                args[7].isEmpty() ? Optional.empty() : Optional.of(Path.of(args[7])),
                scrub(),
                logs);
        AgentProcess.run(config, new Dying(Path.of(args[3]), args[4]));
    }

    private static ScrubSettings scrub() {
        String every = System.getenv("TORPOR_TEST_SCRUB_SECONDS");
        return every == null
                ? ScrubSettings.DEFAULT
                : new ScrubSettings(Duration.ofSeconds(Long.parseLong(every)), 1L << 30);
    }

    private record Dying(Path steps, String where) implements StepHook {
        @Override
        public void before(Step step) {
            reached("before " + step);
        }

        @Override
        public void after(Step step) {
            reached("after " + step);
        }

        private void reached(String place) {
            try {
                Files.writeString(steps, place + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
                if (("wait " + place).equals(where)) {
                    Path waiting = steps.resolveSibling("wait");
                    Files.writeString(waiting, place);
                    while (Files.exists(waiting)) {
                        Thread.sleep(50);
                    }
                }
                if (place.equals(where)) {
                    Death.now();
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
