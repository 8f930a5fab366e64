package dev.torpor.agent.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class SaveCommandTest {
    private static final String SETTLE = "settle";
    private static final String CARRY_ON = "carry on";

    private final List<String> asked = new ArrayList<>();

    @Test
    void aGuestDoesNotWaitForItsQemuToBeDoneWithTheSaveThatFailed() throws TorporException {
        SaveCommand.settle(
                () -> {
                    asked.add(SETTLE);
                    if (!asked.contains(CARRY_ON)) {
                        throw notDone();
                    }
                },
                () -> asked.add(CARRY_ON));
        assertThat(asked).containsExactly(SETTLE, CARRY_ON, SETTLE);
    }

    @Test
    void whatIsLeftWithAQemuThatIsStillNotDoneIsTold() {
        TorporException e = catchThrowableOfType(
                TorporException.class,
                () -> SaveCommand.settle(
                        () -> {
                            asked.add(SETTLE);
                            throw notDone();
                        },
                        () -> asked.add(CARRY_ON)));
        assertThat(e.reason()).isEqualTo(FailureReason.QMPTimeout);
        assertThat(asked).containsExactly(SETTLE, CARRY_ON, SETTLE);
    }

    @Test
    void aQemuThatIsDoneIsSettledBeforeItsGuestGoesOn() throws TorporException {
        SaveCommand.settle(() -> asked.add(SETTLE), () -> asked.add(CARRY_ON));
        assertThat(asked).containsExactly(SETTLE, CARRY_ON);
    }

    @Test
    void aQemuThatIsGoneIsAskedNothingMore() {
        assertThatThrownBy(() -> SaveCommand.settle(
                        () -> {
                            throw new TorporException(FailureReason.QEMUGone, "gone");
                        },
                        () -> asked.add(CARRY_ON)))
                .hasMessage("gone");
        assertThat(asked).isEmpty();
    }

    private static TorporException notDone() {
        return new TorporException(FailureReason.QMPTimeout, "QEMU is not done yet with a migration that has ended");
    }
}
