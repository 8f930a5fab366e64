package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On the real file system; that the disk is mounted is that its store is there. */
class StoreWaitTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final CountDownLatch told = new CountDownLatch(1);

    @Test
    void aDiskThatIsMountedLaterIsTakenUp() throws Exception {
        Path disk = temp.resolve("mounted");
        String storeID;
        try (ImageStore store = ImageStore.open(disk)) {
            storeID = store.storeID();
        }
        Path path = Files.createDirectory(temp.resolve("store"));
        StoreWait wait = new StoreWait(path);
        assertThat(wait.problem().orElseThrow())
                .contains("StoreFailed", "no image store in " + path, path + "/create-store");

        try (ExecutorService threads = Executors.newVirtualThreadPerTaskExecutor()) {
            Future<Optional<ImageStore>> waiting = threads.submit(() -> wait.await(told));
            Files.delete(path);
            Files.move(disk, path);
            try (ImageStore store = waiting.get(1, TimeUnit.MINUTES).orElseThrow()) {
                assertThat(store.storeID()).isEqualTo(storeID);
            }
        }
    }

    @Test
    void whoIsToldToEndWaitsNoLongerAndLeavesNothing() throws Exception {
        Path path = Files.createDirectory(temp.resolve("store"));
        told.countDown();
        assertThat(new StoreWait(path).await(told)).isEmpty();
        assertThat(path).isEmptyDirectory();
    }
}
