package dev.torpor.e2e.standin;

import dev.torpor.operator.OperatorMain;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The operator as a process that may die by SIGKILL at one of its steps. Arguments: a file that says where ({@code before
 * SNAPSHOT_START}) as soon as a test has written it, and which goes with the operator; and the operator's own.
 */
final class DyingOperator {
    private DyingOperator() {}

    public static void main(String[] arguments) throws Exception {
        OperatorMain.run(Arrays.copyOfRange(arguments, 1, arguments.length), new Dying(Path.of(arguments[0])));
    }

    private record Dying(Path where) implements StepHook {
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
                if (Files.readString(where).equals(place)) {
                    Files.delete(where);
                    Death.now();
                }
            } catch (NoSuchFileException e) {
                // It lives.
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
