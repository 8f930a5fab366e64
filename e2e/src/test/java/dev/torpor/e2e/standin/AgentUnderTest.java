package dev.torpor.e2e.standin;

import dev.torpor.agent.work.AgentConfig;
import dev.torpor.agent.work.AgentProcess;
import dev.torpor.agent.work.Step;
import dev.torpor.agent.work.StepHook;
import dev.torpor.telemetry.log.LogSettings;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;

/**
 * The agent as a process that writes down its steps, and may die by SIGKILL at one of them. Arguments: node, store,
 * kubelet root, file for the steps, where to die ({@code before SAVE_PAUSE}; {@code never}), seconds of grace, HTTP port.
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
                Path.of(args[2]),
                "torpor-system",
                2,
                Integer.parseInt(args[6]),
                Duration.ofSeconds(Long.parseLong(args[5])),
                logs);
        AgentProcess.run(config, new Dying(Path.of(args[3]), args[4]));
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
                if (place.equals(where)) {
                    new ProcessBuilder(
                                    "kill",
                                    "-KILL",
                                    Long.toString(ProcessHandle.current().pid()))
                            .start()
                            .waitFor();
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
