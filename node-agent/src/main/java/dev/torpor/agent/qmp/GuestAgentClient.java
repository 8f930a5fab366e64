package dev.torpor.agent.qmp;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * One conversation with the agent in a guest (qemu-ga; qga/qapi-schema.json of QEMU), over the socket of the character
 * device that QEMU gives it. Whoever runs in the guest answers: every byte may be hostile, and a guest without an agent
 * says nothing at all. So a conversation has one deadline, set when it begins, and the limits of a monitor.
 *
 * <p>Not thread-safe. After a failure the connection is of no more use: close it.
 */
public final class GuestAgentClient implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    /** Ends what the other end may be in the middle of, in both directions (guest-sync-delimited). */
    private static final byte DELIMITER = (byte) 0xFF;

    // guest-info lists some 60 commands in 8 KiB.
    private static final QmpLimits LIMITS = new QmpLimits(Duration.ZERO, Duration.ZERO, 256 << 10, 32, 20_000, 0, 100);
    private static final int VERSION_MAX = 32;
    private static final Pattern NOT_IN_A_VERSION = Pattern.compile("[^0-9A-Za-z.+~_-]");

    private final UnixSocket socket;
    private final MessageReader reader;
    private final long endNanos;

    private GuestAgentClient(UnixSocket socket, Duration deadline) {
        this.socket = socket;
        this.reader = new MessageReader(socket, LIMITS, new Agent());
        this.endNanos = System.nanoTime() + deadline.toNanos();
    }

    /**
     * Connects to the socket that a descriptor names, and makes sure that somebody answers.
     *
     * @param deadline for all that follows on this connection, too
     */
    public static GuestAgentClient connect(Descriptor socketInode, Duration deadline) throws GuestAgentException {
        return connect(() -> UnixSocket.connect(socketInode), deadline);
    }

    /** Connects by a path; otherwise like {@link #connect(Descriptor, Duration)}. */
    public static GuestAgentClient connect(Path socket, Duration deadline) throws GuestAgentException {
        return connect(() -> UnixSocket.connect(socket), deadline);
    }

    private interface Connector {
        UnixSocket connect() throws IOException;
    }

    private static GuestAgentClient connect(Connector connector, Duration deadline) throws GuestAgentException {
        GuestAgentClient client;
        try {
            client = new GuestAgentClient(connector.connect(), deadline);
        } catch (IOException e) {
            throw new GuestAgentException("cannot connect to the guest agent's socket: " + e.getMessage(), e);
        }
        try {
            client.synchronize();
            return client;
        } catch (GuestAgentException | RuntimeException e) {
            client.close();
            throw e;
        }
    }

    /** Returns who serves the socket: QEMU, if it is what it should be. */
    public PeerCredentials peer() throws GuestAgentException {
        try {
            return socket.peer();
        } catch (IOException e) {
            throw new GuestAgentException("cannot tell who serves the guest agent's socket", e);
        }
    }

    /** Returns the version that the agent says it has, cut down to what a version is made of. */
    public String version() throws GuestAgentException {
        String version = execute("guest-info", Map.of()).path("version").asText();
        String cut = version.length() <= VERSION_MAX ? version : version.substring(0, VERSION_MAX);
        return NOT_IN_A_VERSION.matcher(cut).replaceAll("");
    }

    /** Sets the guest's clock. */
    public void setTime(Instant time) throws GuestAgentException {
        long nanos = Math.addExact(Math.multiplyExact(time.getEpochSecond(), 1_000_000_000L), time.getNano());
        var _ = execute("guest-set-time", Map.of("time", nanos));
    }

    /** Tells whether the guest's file systems are frozen. */
    public boolean frozen() throws GuestAgentException {
        return "frozen".equals(execute("guest-fsfreeze-status", Map.of()).asText());
    }

    /** Has the guest run its hooks and write out and freeze its file systems. Whoever does that thaws them. */
    public void freeze() throws GuestAgentException {
        var _ = execute("guest-fsfreeze-freeze", Map.of());
    }

    /** Has the guest go on writing, and run its hooks. Harmless if nothing is frozen. */
    public void thaw() throws GuestAgentException {
        var _ = execute("guest-fsfreeze-thaw", Map.of());
    }

    /** What an earlier client was answered, or never read, is not taken for an answer to us. */
    private void synchronize() throws GuestAgentException {
        long id = ThreadLocalRandom.current().nextLong(1, 1L << 52);
        send("guest-sync-delimited", Map.of("id", id), true);
        try {
            for (int n = 0; n < LIMITS.messagesPerCommandMax(); n++) {
                reader.skipPast(DELIMITER, endNanos, "guest-sync-delimited");
                JsonNode answer = reader.next(endNanos, "guest-sync-delimited").path("return");
                if (answer.isIntegralNumber() && answer.longValue() == id) {
                    return;
                }
            }
        } catch (TorporException e) {
            throw new GuestAgentException(String.valueOf(e.getMessage()), e);
        }
        throw new GuestAgentException("the guest agent does not answer what it is asked", null);
    }

    private JsonNode execute(String command, Map<String, ?> arguments) throws GuestAgentException {
        send(command, arguments, false);
        JsonNode answer;
        try {
            answer = reader.next(endNanos, command);
        } catch (TorporException e) {
            throw new GuestAgentException(String.valueOf(e.getMessage()), e);
        }
        if (answer.has("return")) {
            return answer.get("return");
        }
        String said = answer.path("error").path("desc").asText("no reason given");
        throw new GuestAgentException(
                "the guest agent refuses %s: %s"
                        .formatted(command, said.length() <= 200 ? said : said.substring(0, 200)),
                null);
    }

    private void send(String command, Map<String, ?> arguments, boolean delimited) throws GuestAgentException {
        ObjectNode message = JSON.createObjectNode().put("execute", command);
        if (!arguments.isEmpty()) {
            message.set("arguments", JSON.valueToTree(arguments));
        }
        try {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            if (delimited) {
                bytes.write(DELIMITER);
            }
            bytes.write((JSON.writeValueAsString(message) + "\n").getBytes(StandardCharsets.UTF_8));
            socket.send(bytes.toByteArray(), List.of(), Duration.ofNanos(Math.max(0, endNanos - System.nanoTime())));
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("arguments of " + command, e);
        } catch (IOException e) {
            throw new GuestAgentException("the guest agent's socket does not take " + command, e);
        }
    }

    @Override
    public void close() {
        reader.release();
        try {
            socket.close();
        } catch (IOException e) {
            throw new IllegalStateException("closing a socket", e);
        }
    }

    private static final class Agent implements MessageReader.Peer {
        @Override
        public TorporException silent(String waitingFor) {
            return new TorporException(
                    FailureReason.QMPTimeout, "no agent in the guest answers %s in time".formatted(waitingFor));
        }

        @Override
        public TorporException gone(String waitingFor, @Nullable IOException cause) {
            return failure(FailureReason.QEMUGone, "the guest agent's socket was closed before " + waitingFor, cause);
        }

        @Override
        public TorporException broken(String how, @Nullable IOException cause) {
            return failure(FailureReason.NotQEMU, "what answers in the guest is no guest agent: " + how, cause);
        }

        private static TorporException failure(FailureReason reason, String message, @Nullable IOException cause) {
            return cause == null ? new TorporException(reason, message) : new TorporException(reason, message, cause);
        }
    }
}
