package dev.torpor.e2e.bench;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Feeds QEMU an image's streams out of the page cache and looks at nothing: as fast as anybody could play them. */
final class NullSource {
    private NullSource() {}

    /** Reads a file once, so that the next reader has it from memory. */
    static void warm(Path image) throws IOException {
        ByteBuffer unit = ByteBuffer.allocateDirect(ChannelLayout.UNIT_BYTES);
        try (FileChannel file = FileChannel.open(image)) {
            while (file.read(unit.clear()) > 0) {
                // into the cache
            }
        }
    }

    /** Has a QEMU that waits for an image load one whole, and waits until it has. */
    static void feed(QmpClient qmp, Path folder, Path image, ChannelLayout layout) throws IOException, TorporException {
        int channels = layout.lengthsBytes().size() - 1;
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "multifd", "state", true))));
        qmp.execute(
                "migrate-set-parameters",
                Map.of(
                        "multifd-channels",
                        channels,
                        "multifd-compression",
                        layout.compression().method().word()));
        Path socket = folder.resolve("source.null.sock");
        Files.deleteIfExists(socket);
        qmp.execute("migrate-incoming", Map.of("uri", "unix:" + socket));
        List<UnixSocket> sockets = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        try (FileChannel file = FileChannel.open(image)) {
            for (int n = 0; n <= channels; n++) {
                int channel = n;
                UnixSocket its = UnixSocket.connect(socket);
                sockets.add(its);
                threads.add(Thread.ofPlatform().start(() -> play(file, layout, channel, its)));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            String status = "active";
            while (!status.equals("completed")) {
                status = qmp.execute("query-migrate").path("status").asText();
                if (status.equals("failed")) {
                    throw new IOException("QEMU could not load");
                }
                TimeUnit.MILLISECONDS.sleep(1);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted", e);
        } finally {
            for (UnixSocket each : sockets) {
                each.close();
            }
        }
    }

    private static void play(FileChannel file, ChannelLayout layout, int channel, UnixSocket socket) {
        ByteBuffer unit = ByteBuffer.allocateDirect(ChannelLayout.UNIT_BYTES);
        long left = layout.lengthsBytes().get(channel);
        try {
            for (long number = 0; left > 0; number++) {
                long at = ImageHeader.STREAM_OFFSET_BYTES
                        + (number * layout.lengthsBytes().size() + channel) * ChannelLayout.UNIT_BYTES;
                unit.clear().limit((int) Math.min(left, ChannelLayout.UNIT_BYTES));
                left -= unit.limit();
                while (unit.hasRemaining()) {
                    if (file.read(unit, at + unit.position()) < 0) {
                        throw new IOException("the image ends too soon");
                    }
                }
                socket.drain(unit.flip());
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
