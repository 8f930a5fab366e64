package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.Test;

class ProcTest {
    private final int self = (int) ProcessHandle.current().pid();

    @Test
    void factsOfThisProcess() throws IOException {
        assertThat(Proc.bootId()).hasSize(36);
        assertThat(Proc.startTicks(self)).isPresent();
        assertThat(Proc.cgroups(self)).isNotEmpty();
        assertThat(Proc.openFilesLimit(self)).isPositive();
        assertThat(Proc.openFiles(self)).isPositive();
    }

    @Test
    void aProcessThatIsNotThereHasNoStart() throws IOException {
        assertThat(Proc.startTicks(Integer.MAX_VALUE)).isEmpty();
    }
}
