package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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
    void anOpenFileIsFoundByItsNameAndNotByALink(@TempDir Path temp) throws IOException {
        Path file = Files.write(temp.resolve("file"), new byte[100]);
        Files.createSymbolicLink(temp.resolve("link"), file);
        assertThat(Proc.openFile(self, file.toString())).isEmpty();
        try (FileChannel _ = FileChannel.open(temp.resolve("link"))) {
            assertThat(Proc.openFile(self, file.toString()))
                    .contains(new Proc.OpenFile(
                            true, 100, Files.getLastModifiedTime(file).toInstant()));
            assertThat(Proc.openFile(self, temp.resolve("link").toString())).isEmpty();
            Files.delete(file);
            assertThat(Proc.openFile(self, file.toString())).isEmpty();
        }
    }

    @Test
    void aProcessThatIsNotThereHasNoStart() throws IOException {
        assertThat(Proc.startTicks(Integer.MAX_VALUE)).isEmpty();
    }
}
