package dev.torpor.agent.engine;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.qmp.FakeMonitor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Function;

/**
 * Answers as a real QEMU once did: a resource holds its answers ({@code <}), each below the question ({@code >}), and above all of them its
 * greeting, if that was written down. {@code make record-qmp} writes those of a whole probe.
 */
final class RecordedQemu implements Function<String, String> {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<JsonNode, ObjectNode> answers = new HashMap<>();
    private String greeting = FakeMonitor.GREETING;

    RecordedQemu(String resource) {
        try (InputStream in = Objects.requireNonNull(RecordedQemu.class.getResourceAsStream(resource), resource)) {
            List<String> lines = new String(in.readAllBytes(), UTF_8).lines().toList();
            if (lines.getFirst().startsWith("<")) {
                greeting = lines.getFirst().substring(2) + "\n";
            }
            for (int i = lines.size() % 2; i < lines.size(); i += 2) {
                answers.put(JSON.readTree(lines.get(i).substring(2)), (ObjectNode)
                        JSON.readTree(lines.get(i + 1).substring(2)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Returns what it says first. */
    String greeting() {
        return greeting;
    }

    @Override
    public String apply(String line) {
        try {
            ObjectNode question = (ObjectNode) JSON.readTree(line);
            JsonNode id = question.remove("id");
            ObjectNode answer = answers.get(question);
            // A question that was not recorded: the test fails with QEMUGone, and the monitor's record names it.
            return answer == null ? FakeMonitor.HANG_UP : answer.deepCopy().set("id", id) + "\n";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
