package dev.torpor.agent.qmp;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.time.Duration;

/** Takes bytes from the socket and makes messages of them: one JSON object a line, within the limits. */
final class MessageReader {
    private final UnixSocket socket;
    private final QmpLimits limits;
    private final ObjectMapper json;
    private final byte[] chunk = new byte[64 << 10];
    private int chunkUsed;
    private int chunkFilled;
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();

    MessageReader(UnixSocket socket, QmpLimits limits) {
        this.socket = socket;
        this.limits = limits;
        this.json = new ObjectMapper(JsonFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(limits.depthMax())
                        .build())
                .build());
    }

    /**
     * Waits for the next message.
     *
     * @param endNanos moment of {@link System#nanoTime} at which waiting ends
     * @param waitingFor what the caller waits for, for the message of a failure
     * @throws TorporException QMPTimeout, QEMUGone when the peer closed, NotQEMU when it breaks the rules
     */
    JsonNode next(long endNanos, String waitingFor) throws TorporException {
        while (true) {
            while (chunkUsed < chunkFilled) {
                byte b = chunk[chunkUsed++];
                if (b == '\n') {
                    JsonNode message = parse(line.toByteArray());
                    line.reset();
                    if (message.isObject()) {
                        return message;
                    }
                    throw notQemu("a message that is not an object");
                }
                if (line.size() >= limits.lineBytesMax()) {
                    throw notQemu("a message of more than " + limits.lineBytesMax() + " bytes");
                }
                line.write(b);
            }
            fill(endNanos, waitingFor);
        }
    }

    private void fill(long endNanos, String waitingFor) throws TorporException {
        long left = endNanos - System.nanoTime();
        int n;
        try {
            n = left <= 0 ? 0 : socket.receive(chunk, Duration.ofNanos(left));
        } catch (IOException e) {
            throw new TorporException(FailureReason.QEMUGone, "lost the monitor while waiting for " + waitingFor, e);
        }
        if (n < 0) {
            throw new TorporException(
                    FailureReason.QEMUGone, "QEMU closed its monitor while we waited for " + waitingFor);
        }
        if (n == 0 && endNanos - System.nanoTime() <= 0) {
            throw QmpClient.timeout("no answer in time to " + waitingFor, null);
        }
        chunkUsed = 0;
        chunkFilled = n;
    }

    private JsonNode parse(byte[] bytes) throws TorporException {
        try {
            JsonNode message = json.readTree(bytes);
            return message == null ? json.missingNode() : message;
        } catch (JsonProcessingException e) {
            throw new TorporException(
                    FailureReason.NotQEMU,
                    "what answers on the socket does not speak QMP: " + e.getOriginalMessage(),
                    e);
        } catch (IOException e) {
            throw new IllegalStateException("reading from memory", e);
        }
    }

    static TorporException notQemu(String sent) {
        return new TorporException(
                FailureReason.NotQEMU, "what answers on the socket does not speak QMP: it sent " + sent);
    }
}
