package dev.torpor.agent.linux;

import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;

/** The real disk, but each flush waits until this is closed, as one of a disk that hangs does. */
public final class HangingDisk implements AutoCloseable {
    private final CountDownLatch reached = new CountDownLatch(1);
    private final CountDownLatch end = new CountDownLatch(1);

    /** Begins. */
    public HangingDisk() {
        Libc.use(new Libc.Disk() {
            @Override
            public OptionalLong call(String call, Object... arguments) {
                if (call.equals("fsync") || call.equals("fdatasync")) {
                    reached.countDown();
                    await(end);
                }
                return OptionalLong.empty();
            }

            @Override
            public Optional<List<String>> names(int descriptor) {
                return Optional.empty();
            }

            @Override
            public OptionalLong freeBytes(int descriptor) {
                return OptionalLong.empty();
            }
        });
    }

    /** Returns when somebody's flush hangs. */
    public void awaitFlush() {
        await(reached);
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void close() {
        Libc.use(null);
        end.countDown();
    }
}
