package dev.torpor.agent.qmp;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

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
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** An agent in a guest that says what a test tells it to, honest or not, to one client after the other. */
public final class FakeGuestAgent implements AutoCloseable {
    private static final Pattern ID = Pattern.compile("\"id\":(\\d+)");

    /** Every command that came, in order, without the syncs. */
    public final List<String> received = new CopyOnWriteArrayList<>();

    private final ServerSocketChannel server;
    private volatile boolean frozen;

    /**
     * @param answers text to send for each line received, a character a byte; none to stay silent
     */
    public FakeGuestAgent(Path socket, Function<String, String> answers) throws IOException {
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        Thread.ofVirtual().start(() -> serve(answers));
    }

    /** An honest one. */
    public FakeGuestAgent(Path socket) throws IOException {
        server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        Thread.ofVirtual().start(() -> serve(this::honest));
    }

    /** Answers a sync as it should be, and hands everything else to the test. */
    public static Function<String, String> synchronizing(Function<String, String> answers) {
        return line -> {
            Matcher id = ID.matcher(line);
            return line.contains("guest-sync-delimited") && id.find()
                    ? "\u00ff{\"return\": " + id.group(1) + "}\n"
                    : answers.apply(line);
        };
    }

    private String honest(String line) {
        return synchronizing(command -> {
                    frozen = command.contains("fsfreeze-freeze") || (frozen && !command.contains("fsfreeze-thaw"));
                    if (command.contains("guest-info")) {
                        return "{\"return\": {\"version\": \"10.0.2\", \"supported_commands\": []}}\n";
                    }
                    if (command.contains("fsfreeze-status")) {
                        return "{\"return\": \"" + (frozen ? "frozen" : "thawed") + "\"}\n";
                    }
                    return command.contains("fsfreeze") ? "{\"return\": 2}\n" : "{\"return\": {}}\n";
                })
                .apply(line);
    }

    private void serve(Function<String, String> answers) {
        while (server.isOpen()) {
            try (SocketChannel client = server.accept()) {
                talk(client, answers);
            } catch (IOException e) {
                received.add("closed: " + e.getMessage());
            }
        }
    }

    private void talk(SocketChannel client, Function<String, String> answers) throws IOException {
        StringBuilder pending = new StringBuilder();
        ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
        while (client.read(buffer.clear()) >= 0) {
            pending.append(ISO_8859_1.decode(buffer.flip()));
            for (int end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
                String line = pending.substring(0, end);
                pending.delete(0, end + 1);
                if (!line.contains("guest-sync-delimited")) {
                    received.add(line);
                }
                ByteBuffer answer = ISO_8859_1.encode(answers.apply(line));
                while (answer.hasRemaining()) {
                    client.write(answer);
                }
            }
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
