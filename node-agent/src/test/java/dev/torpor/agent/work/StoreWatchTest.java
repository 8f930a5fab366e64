package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the real file system. */
class StoreWatchTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void aStoreThatCannotBeWrittenIsAProblemUntilItCan() throws Exception {
        Path directory = temp.resolve("store");
        try (ImageStore store = ImageStore.open(directory)) {
            StoreWatch watch = new StoreWatch(store);
            watch.look();
            assertThat(watch.problem()).isEmpty();
            long sizeBytes = watch.sizeBytes();

            // Root may write anything; where a file is to be made there is a directory.
            Path inTheWay = Files.createDirectory(directory.resolve(".writable.probe.new"));
            watch.look();
            assertThat(watch.problem()).contains("StoreFailed: the store cannot be written: Is a directory");
            assertThat(watch.sizeBytes()).as("what was seen last").isEqualTo(sizeBytes);

            Files.delete(inTheWay);
            watch.look();
            assertThat(watch.problem()).isEmpty();
        }
    }
}
