package dev.torpor.e2e.api;

import dev.torpor.operator.OperatorMain;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;

/**
 * The operator as a process, of which a test holds threads just before steps. Arguments: a folder for the test's wishes, and the
 * operator's own. One thread that is about to take a step waits for as long as {@link #held} is there, if {@link #toHold} was.
 */
final class HeldOperator {
    private HeldOperator() {}

    public static void main(String[] arguments) throws Exception {
        OperatorMain.run(Arrays.copyOfRange(arguments, 1, arguments.length), new Holding(Path.of(arguments[0])));
    }

    static Path toHold(Path folder, Step step) {
        return folder.resolve("hold-" + step);
    }

    static Path held(Path folder, Step step) {
        return folder.resolve("held-" + step);
    }

    private record Holding(Path folder) implements StepHook {
        @Override
        public void before(Step step) {
            Path held = held(folder, step);
            try {
                Files.move(toHold(folder, step), held, StandardCopyOption.ATOMIC_MOVE);
                while (Files.exists(held)) {
                    Thread.sleep(1);
                }
            } catch (NoSuchFileException e) {
                // Nobody wants it held.
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        @Override
        public void after(Step step) {}
    }
}
