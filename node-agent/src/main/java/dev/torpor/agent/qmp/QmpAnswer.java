package dev.torpor.agent.qmp;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Optional;

/** What QEMU said to one of several commands. */
public sealed interface QmpAnswer {
    /** It was executed; an empty object if it returns nothing. */
    record Returned(JsonNode value) implements QmpAnswer {}

    /** It was refused. */
    record Refused(QmpCommandException why) implements QmpAnswer {}

    /**
     * Returns what the command returned.
     *
     * @throws QmpCommandException if it was refused
     */
    default JsonNode value() throws QmpCommandException {
        return switch (this) {
            case Returned(JsonNode value) -> value;
            case Refused(QmpCommandException why) -> throw why;
        };
    }

    /** Returns what the command returned; empty if it was refused. */
    default Optional<JsonNode> ifReturned() {
        return this instanceof Returned(JsonNode value) ? Optional.of(value) : Optional.empty();
    }
}
