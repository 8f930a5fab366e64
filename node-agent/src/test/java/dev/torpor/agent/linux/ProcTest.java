package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
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
        Path link = temp.resolve("link");
        Set<String> names = Set.of(file.toString(), link.toString());
        assertThat(Proc.openFiles(self, names)).isEmpty();
        try (FileChannel _ = FileChannel.open(link)) {
            assertThat(Proc.openFiles(self, names))
                    .containsExactly(Map.entry(
                            file.toString(),
                            new Proc.OpenFile(
                                    true, 100, Files.getLastModifiedTime(file).toInstant())));
            Files.delete(file);
            assertThat(Proc.openFiles(self, names)).isEmpty();
        }
    }

    @Test
    void aProcessThatIsNotThereHasNoStart() throws IOException {
        assertThat(Proc.startTicks(Integer.MAX_VALUE)).isEmpty();
    }
}
