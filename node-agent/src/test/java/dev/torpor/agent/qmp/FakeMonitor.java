package dev.torpor.agent.qmp;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/** A monitor that says what a test tells it to, honest or not. */
public final class FakeMonitor implements AutoCloseable {
    public static final String GREETING =
            "{\"QMP\":{\"version\":{\"qemu\":{\"major\":10,\"minor\":0,\"micro\":2},\"package\":\"\"},\"capabilities\":[]}}\n";
    /** An answer that closes the connection instead. */
    public static final String HANG_UP = "";

    /** Every line that came, in order. */
    public final List<String> received = new CopyOnWriteArrayList<>();

    private final ServerSocketChannel server;

    /**
     * @param greeting sent at once; empty to stay silent
     * @param answers text to send for each line received; {@link #HANG_UP} closes the connection
     */
    public FakeMonitor(Path socket, String greeting, Function<String, String> answers) throws IOException {
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        Thread.ofVirtual().start(() -> serve(greeting, answers));
    }

    /** Answers qmp_capabilities as it should be, and hands everything else to the test. */
    public static Function<String, String> negotiating(Function<String, String> answers) {
        return line -> line.contains("qmp_capabilities") ? "{\"return\":{},\"id\":1}\n" : answers.apply(line);
    }

    private void serve(String greeting, Function<String, String> answers) {
        try (SocketChannel client = server.accept()) {
            send(client, greeting);
            StringBuilder pending = new StringBuilder();
            ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
            while (client.read(buffer.clear()) >= 0) {
                pending.append(UTF_8.decode(buffer.flip()));
                for (int end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
                    String line = pending.substring(0, end);
                    pending.delete(0, end + 1);
                    received.add(line);
                    String answer = answers.apply(line);
                    if (answer.equals(HANG_UP)) {
                        return;
                    }
                    send(client, answer);
                }
            }
        } catch (IOException e) {
            // The client left, as hostile-peer tests make it do.
            received.add("closed: " + e.getMessage());
        }
    }

    private static void send(SocketChannel client, String text) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(UTF_8));
        while (bytes.hasRemaining()) {
            client.write(bytes);
        }
    }

    @Override
    public void close() {
        try {
            server.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
