package dev.torpor.e2e.bench;

import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Takes what QEMU sends over its channels and throws it away: as fast as anybody could record it. */
final class NullSink {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int BUFFER_BYTES = 1 << 20;

    private NullSink() {}

    /** Has a paused QEMU send all of its memory, in so many channels beside the main one. */
    static void swallow(QmpClient qmp, Path folder, int channels) throws IOException, TorporException {
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "multifd", "state", true))));
        qmp.execute(
                "migrate-set-parameters",
                Map.of("multifd-channels", channels, "max-bandwidth", 0, "multifd-compression", "none"));
        List<UnixSocket> sockets = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        try (Directory directory = Directory.open(folder);
                UnixListener listener = UnixListener.listen(directory, "null.sock", channels + 1)) {
            qmp.execute("migrate", Map.of("uri", "unix:" + folder.resolve("null.sock")));
            for (int n = 0; n <= channels; n++) {
                UnixSocket socket = listener.accept(PATIENCE).orElseThrow();
                sockets.add(socket);
                threads.add(Thread.ofPlatform().start(() -> drain(socket)));
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
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "multifd", "state", false))));
    }

    private static void drain(UnixSocket socket) {
        ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES);
        try {
            while (socket.fill(buffer.clear()) > 0) {
                // away
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
