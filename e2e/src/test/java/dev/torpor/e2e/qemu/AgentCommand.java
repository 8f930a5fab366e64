package dev.torpor.e2e.qemu;

import dev.torpor.e2e.tree.WorkTree;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs {@code bin/torpor-agent} as a person does. */
final class AgentCommand {
    private static final long PATIENCE_MINUTES = 2;

    private AgentCommand() {}

    /**
     * What a run came to.
     *
     * @param code exit code
     * @param output standard output
     * @param errors standard error
     */
    record Result(int code, String output, String errors) {
        /** Returns the last line of standard error. */
        String error() {
            return errors.lines().reduce("", (_, last) -> last);
        }
    }

    static Result run(Path folder, Object... arguments) throws IOException, InterruptedException {
        return run(folder, List.of(), arguments);
    }

    /** Runs it as root that may read no more than the modes of files say. */
    static Result runBoundByModes(Path folder, Object... arguments) throws IOException, InterruptedException {
        return run(folder, List.of("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"), arguments);
    }

    private static Result run(Path folder, List<String> before, Object... arguments)
            throws IOException, InterruptedException {
        Path output = Files.createTempFile(folder, "out", ".log");
        Path errors = Files.createTempFile(folder, "err", ".log");
        List<String> command = new ArrayList<>(before);
        command.add(WorkTree.root().resolve("bin/torpor-agent").toString());
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        Process process = new ProcessBuilder(command)
                .redirectOutput(output.toFile())
                .redirectError(errors.toFile())
                .start();
        if (!process.waitFor(PATIENCE_MINUTES, TimeUnit.MINUTES)) {
            process.destroyForcibly();
            throw new IllegalStateException("waited in vain for " + command);
        }
        return new Result(
                process.exitValue(),
                Files.readString(output, StandardCharsets.UTF_8).strip(),
                Files.readString(errors, StandardCharsets.UTF_8).strip());
    }
}
