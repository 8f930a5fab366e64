package dev.torpor.e2e.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * What a probe and a QEMU say to each other: the greeting ({@code <}), then each question ({@code >}) with its answer below. What
 * differs from one start to the next is evened out: numbers of threads, addresses of memory.
 *
 * @param lines as they stand in the file
 */
record QmpRecording(List<String> lines) {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Pattern THREAD = Pattern.compile("\"thread-id\": ?\\d{2,}");
    private static final Pattern ADDRESS = Pattern.compile("0x00007[0-9a-f]{11}");

    /**
     * Probes a QEMU through a relay that writes down what passes.
     *
     * @param monitor of a QEMU that nobody else talks to
     * @param folder for the relay's socket
     */
    static QmpRecording of(Path monitor, Path folder) throws IOException, TorporException {
        Path socket = folder.resolve("relay.sock");
        List<String> said = new ArrayList<>();
        Map<Long, ObjectNode> questions = new HashMap<>();
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
                SocketChannel qemu = SocketChannel.open(UnixDomainSocketAddress.of(monitor))) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread relay = Thread.ofVirtual().start(() -> {
                try (SocketChannel client = server.accept()) {
                    Thread.ofVirtual()
                            .start(() -> pass(client, qemu, line -> {
                                ObjectNode question = json(line);
                                synchronized (questions) {
                                    questions.put(question.remove("id").longValue(), question);
                                }
                            }));
                    pass(qemu, client, line -> {
                        ObjectNode answer = json(line);
                        JsonNode id = answer.remove("id");
                        if (answer.has("QMP")) {
                            said.add("< " + even(answer));
                        } else if (id != null) {
                            synchronized (questions) {
                                said.add("> " + even(Objects.requireNonNull(questions.get(id.longValue()))));
                            }
                            said.add("< " + even(answer));
                        }
                    });
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            try (QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
                VmFacts _ = QemuProbe.probe(qmp);
            }
            qemu.shutdownInput();
            relay.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while a probe was recorded", e);
        } finally {
            Files.deleteIfExists(socket);
        }
        return new QmpRecording(List.copyOf(said));
    }

    static QmpRecording read(Path file) throws IOException {
        return new QmpRecording(Files.readAllLines(file));
    }

    void write(Path file) throws IOException {
        Files.write(file, lines);
    }

    /** Returns what was said after the greeting, which names the build of a version; the order of names is of no account. */
    List<JsonNode> conversation() {
        List<JsonNode> said = new ArrayList<>();
        lines.stream().skip(1).forEach(line -> said.add(json(line.substring(2))));
        return said;
    }

    private static void pass(SocketChannel from, SocketChannel to, Consumer<String> wholeLine) {
        StringBuilder pending = new StringBuilder();
        ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
        try {
            while (from.read(buffer.clear()) >= 0) {
                // QMP is ASCII: QEMU escapes everything else.
                pending.append(UTF_8.decode(buffer.flip()));
                for (int end = pending.indexOf("\n"); end >= 0; end = pending.indexOf("\n")) {
                    wholeLine.accept(pending.substring(0, end));
                    pending.delete(0, end + 1);
                }
                buffer.rewind();
                while (buffer.hasRemaining()) {
                    to.write(buffer);
                }
            }
        } catch (IOException e) {
            // The other side has left: the recording is over.
            pending.setLength(0);
        }
    }

    private static String even(JsonNode message) {
        String text = THREAD.matcher(message.toString()).replaceAll("\"thread-id\":0");
        return ADDRESS.matcher(text).replaceAll("0x0000700000000000");
    }

    private static ObjectNode json(String line) {
        try {
            return (ObjectNode) JSON.readTree(line);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
