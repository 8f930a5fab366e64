package dev.torpor.agent.cli;

import dev.torpor.failure.TorporException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * The command {@code torpor-agent}. Results go to standard output, progress and errors to standard error; an error is one
 * line, {@code torpor-agent: Reason: message}. Exit codes: see {@link ExitCode}.
 */
@Command(
        name = "torpor-agent",
        description = "Saves the memory of running QEMU virtual machines, and brings them back.",
        subcommands = {RunCommand.class, SaveCommand.class, RestoreCommand.class, ImageCommand.class},
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:done",
            "1:failed or refused, for the reason that is printed",
            "2:the command line is wrong",
            "3:the image cannot be used: missing, never committed, truncated, damaged, too new, or used up",
            "130:interrupted; what was begun was undone"
        })
public final class TorporAgent implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    private TorporAgent() {}

    /** Runs one command and exits with its code. */
    public static void main(String[] arguments) {
        System.exit(run(arguments));
    }

    static int run(String... arguments) {
        return new CommandLine(new TorporAgent())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setExecutionExceptionHandler((e, _, _) -> report(e))
                .setParameterExceptionHandler(TorporAgent::reportUsage)
                .execute(arguments);
    }

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    private static int report(Exception e) {
        if (e instanceof TorporException failure) {
            print(failure.reason().name(), failure);
            return ExitCode.of(failure.reason());
        }
        print("Internal", e);
        return ExitCode.FAILED;
    }

    private static void print(String reason, Throwable e) {
        StringBuilder line = new StringBuilder("torpor-agent: " + reason + ": ").append(oneLine(e));
        for (Throwable also : e.getSuppressed()) {
            line.append("; also: ").append(oneLine(also));
        }
        System.err.println(line);
    }

    private static String oneLine(Throwable e) {
        String message = e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
        return message.strip().replaceAll("\\s*\\R\\s*", " ");
    }

    private static int reportUsage(ParameterException e, String[] arguments) {
        System.err.println("torpor-agent: Usage: " + oneLine(e) + "; see "
                + e.getCommandLine().getCommandSpec().qualifiedName() + " --help");
        return ExitCode.USAGE;
    }
}
