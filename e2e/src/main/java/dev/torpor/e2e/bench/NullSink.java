package dev.torpor.e2e.bench;

import dev.torpor.agent.image.Compression;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.AlignedBuffer;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Takes what QEMU sends over its channels and throws it away, as fast as anybody could take it; or writes it into one file as
 * it comes, as fast as anybody could keep it there: no checks, no checksums, no record of it.
 */
final class NullSink {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int BUFFER_BYTES = 1 << 20;
    private static final String KEPT = "kept.img";

    private NullSink() {}

    /** What becomes of what comes. */
    private interface Fate {
        /** Takes a part of what came over one connection, the number of which is that of those before it. */
        void meet(int connection, long number, ByteBuffer part) throws IOException;
    }

    /** Has a paused QEMU send all of its memory, in so many channels beside the main one. */
    static void swallow(QmpClient qmp, Path folder, int channels, Compression compression)
            throws IOException, TorporException {
        take(qmp, folder, channels, compression, (_, _, _) -> {});
    }

    /**
     * Does the same, not compressed, and keeps it, in a file that is flushed at the end.
     *
     * @param place folder of the file
     * @param access how it is written
     */
    static void keep(QmpClient qmp, Path folder, int channels, Path place, Access access)
            throws IOException, TorporException {
        try (Directory directory = Directory.open(place)) {
            directory.createFile(KEPT).close();
            try (Descriptor file = directory.openFile(KEPT, access)) {
                take(qmp, folder, channels, Compression.NONE, (connection, number, part) -> {
                    // The last one's rest is as it happens to be: nobody reads it.
                    part.limit((int) AlignedBuffer.alignUp(part.limit()));
                    file.write(part, (number * (channels + 1) + connection) * BUFFER_BYTES);
                });
                file.flushData();
            }
        }
    }

    /** Deletes what was kept. */
    static void forget(Path place) throws IOException {
        Files.delete(place.resolve(KEPT));
    }

    private static void take(QmpClient qmp, Path folder, int channels, Compression compression, Fate fate)
            throws IOException, TorporException {
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "multifd", "state", true))));
        String method = compression.method().word();
        Map<String, Object> parameters =
                new HashMap<>(Map.of("multifd-channels", channels, "max-bandwidth", 0, "multifd-compression", method));
        compression.level().ifPresent(level -> parameters.put("multifd-" + method + "-level", level));
        qmp.execute("migrate-set-parameters", parameters);
        List<UnixSocket> sockets = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        try (Directory directory = Directory.open(folder);
                UnixListener listener = UnixListener.listen(directory, "null.sock", channels + 1)) {
            qmp.execute("migrate", Map.of("uri", "unix:" + folder.resolve("null.sock")));
            for (int n = 0; n <= channels; n++) {
                UnixSocket socket = listener.accept(PATIENCE).orElseThrow();
                sockets.add(socket);
                int connection = n;
                threads.add(Thread.ofPlatform().start(() -> drain(socket, connection, fate)));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            while (qmp.execute("query-yank").toString().contains("migration")) {
                TimeUnit.MILLISECONDS.sleep(1);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            for (UnixSocket socket : sockets) {
                socket.close();
            }
        }
        qmp.execute("migrate-set-parameters", Map.of("multifd-compression", "none"));
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "multifd", "state", false))));
    }

    private static void drain(UnixSocket socket, int connection, Fate fate) {
        ByteBuffer buffer = AlignedBuffer.allocate(BUFFER_BYTES);
        try {
            for (long number = 0; socket.fill(buffer.clear()) > 0; number++) {
                fate.meet(connection, number, buffer.flip());
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
