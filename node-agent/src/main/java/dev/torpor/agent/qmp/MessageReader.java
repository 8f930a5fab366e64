package dev.torpor.agent.qmp;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * Takes bytes from a peer's socket and makes messages of them: one JSON object a line, within the limits. Memory for long ones is
 * that of {@link MessageRoom}: that of a message is given back at the next one, unless it is {@link #retain kept}.
 */
final class MessageReader {
    /** What is kept of memory between two messages. */
    private static final int LINE_BYTES = 16 << 10;
    /** Messages up to here cost too little to be counted. */
    private static final int SHORT_BYTES = 4 << 10;
    /** How long a wait goes on before it is looked whether it is to end sooner than it was begun for. */
    private static final Duration LOOK = Duration.ofMillis(500);
    /** Of half an empty object in a list, of a short text, or of a name and its value in a map: their nodes in a tree of Jackson's. */
    private static final int BYTES_OF_TOKEN = 64;

    private final UnixSocket socket;
    private final QmpLimits limits;
    private final Peer peer;
    private final ObjectMapper json;
    private final byte[] chunk = new byte[64 << 10];
    private int chunkUsed;
    private int chunkFilled;
    private byte[] line = new byte[LINE_BYTES];
    private int lineUsed;
    private int lastBytes;
    private final MessageRoom.Share room;
    /** Bytes of the share for the line that is being read, for the last message, and for those that are kept. */
    private long lineRoom;

    private long lastRoom;
    private long keptRoom;
    private volatile OptionalLong latestEndNanos = OptionalLong.empty();

    /** Who is on the other end: how his failures are told. */
    interface Peer {
        /** He does not answer in time. */
        TorporException silent(String waitingFor);

        /** He has closed, or the connection is lost. */
        TorporException gone(String waitingFor, @Nullable IOException cause);

        /** He breaks the rules or the limits. */
        TorporException broken(String how, @Nullable IOException cause);
    }

    MessageReader(UnixSocket socket, QmpLimits limits, Peer peer) {
        this(socket, limits, peer, MessageRoom.OF_PROCESS);
    }

    MessageReader(UnixSocket socket, QmpLimits limits, Peer peer, MessageRoom room) {
        this.room = room.share();
        this.socket = socket;
        this.limits = limits;
        this.peer = peer;
        this.json = new ObjectMapper(JsonFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(limits.depthMax())
                        .maxTokenCount(limits.tokensMax())
                        .build())
                .build());
    }

    /**
     * Waits for the next message.
     *
     * @param endNanos moment of {@link System#nanoTime} at which waiting ends
     * @param waitingFor what the caller waits for, for the message of a failure
     * @throws TorporException what the peer's failure is
     */
    JsonNode next(long endNanos, String waitingFor) throws TorporException {
        return nextUntil(endNanos, waitingFor).orElseThrow(() -> peer.silent(waitingFor));
    }

    /** The same, empty if none comes by then. */
    Optional<JsonNode> nextUntil(long endNanos, String waitingFor) throws TorporException {
        room.giveBack(lastRoom);
        lastRoom = 0;
        while (true) {
            int end = chunkUsed;
            while (end < chunkFilled && chunk[end] != '\n') {
                end++;
            }
            if (lineUsed + end - chunkUsed > limits.lineBytesMax()) {
                throw peer.broken("it sent a message of more than " + limits.lineBytesMax() + " bytes", null);
            }
            append(end, endNanos);
            if (end < chunkFilled) {
                chunkUsed++;
                JsonNode message = parse(endNanos);
                if (message.isObject()) {
                    return Optional.of(message);
                }
                throw peer.broken("it sent a message that is not an object", null);
            }
            if (!fill(endNanos, waitingFor)) {
                return Optional.empty();
            }
        }
    }

    /**
     * Has no wait, not even one that is under way, go on past a moment of {@link System#nanoTime}. For any thread.
     */
    void endBy(long latestNanos) {
        latestEndNanos = OptionalLong.of(latestNanos);
    }

    private long leftNanos(long endNanos) {
        long now = System.nanoTime();
        long left = endNanos - now;
        OptionalLong latest = latestEndNanos;
        return latest.isPresent() ? Math.min(left, latest.getAsLong() - now) : left;
    }

    /** Drops what comes, up to and including a byte of this value. */
    void skipPast(byte mark, long endNanos, String waitingFor) throws TorporException {
        lineUsed = 0;
        for (long dropped = 0; dropped <= limits.lineBytesMax(); dropped++) {
            if (chunkUsed == chunkFilled && !fill(endNanos, waitingFor)) {
                throw peer.silent(waitingFor);
            }
            if (chunkUsed < chunkFilled && chunk[chunkUsed++] == mark) {
                return;
            }
        }
        throw peer.broken("it sent more than " + limits.lineBytesMax() + " bytes before its answer", null);
    }

    private boolean fill(long endNanos, String waitingFor) throws TorporException {
        long left = leftNanos(endNanos);
        int n;
        try {
            n = left <= 0 ? 0 : socket.receive(chunk, Duration.ofNanos(Math.min(left, LOOK.toNanos())));
        } catch (IOException e) {
            throw peer.gone(waitingFor, e);
        }
        if (n < 0) {
            throw peer.gone(waitingFor, null);
        }
        chunkUsed = 0;
        chunkFilled = n;
        return n > 0 || leftNanos(endNanos) > 0;
    }

    private void append(int end, long endNanos) throws TorporException {
        int length = end - chunkUsed;
        if (lineUsed + length > line.length) {
            int longer = Math.max(lineUsed + length, 2 * line.length);
            lineRoom += take(longer - lineRoom, endNanos);
            line = Arrays.copyOf(line, longer);
        }
        System.arraycopy(chunk, chunkUsed, line, lineUsed, length);
        lineUsed += length;
        chunkUsed = end;
    }

    /** Returns how many bytes the last message had. */
    int lastBytes() {
        return lastBytes;
    }

    /** Keeps the room of the last message until {@link #release}. */
    void retain() {
        keptRoom += lastRoom;
        lastRoom = 0;
    }

    /** The messages that were kept are of no more use: gives their room back. */
    void forget() {
        room.giveBack(keptRoom);
        keptRoom = 0;
    }

    /** Nothing is read any more: gives all room back. May be repeated. */
    void release() {
        forget();
        room.giveBack(lastRoom + lineRoom);
        lastRoom = 0;
        lineRoom = 0;
    }

    private long take(long bytes, long endNanos) throws TorporException {
        return switch (room.take(bytes, endNanos)) {
            case TAKEN -> bytes;
            case TOO_MUCH -> throw peer.broken("it sent answers that are too much for one VM", null);
            case CROWDED ->
                throw new TorporException(
                        FailureReason.QMPTimeout, "other VMs send so much that this one's answers cannot be read");
            case INTERRUPTED ->
                throw new TorporException(
                        FailureReason.AgentRestarted, "the agent was asked to stop while it waited to read an answer");
        };
    }

    private JsonNode parse(long endNanos) throws TorporException {
        byte[] bytes = line;
        lastBytes = lineUsed;
        lineUsed = 0;
        try {
            if (lastBytes > SHORT_BYTES) {
                lastRoom = take(tokens(bytes, lastBytes) * BYTES_OF_TOKEN + lastBytes, endNanos);
            }
            JsonNode message = json.readTree(bytes, 0, lastBytes);
            if (bytes.length > LINE_BYTES) {
                line = new byte[LINE_BYTES]; // a long one is rare
                room.giveBack(lineRoom);
                lineRoom = 0;
            }
            return message == null ? json.missingNode() : message;
        } catch (JsonProcessingException e) {
            throw peer.broken(e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new IllegalStateException("reading from memory", e);
        }
    }

    /** Counts before anything is made of them. */
    private long tokens(byte[] bytes, int length) throws IOException {
        try (JsonParser parser = json.createParser(bytes, 0, length)) {
            long tokens = 0;
            while (parser.nextToken() != null) {
                tokens++;
            }
            return tokens;
        }
    }
}
