package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.qmp.QmpAnswer;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.TorporException;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** Questions that were asked together, with what QEMU said to each. */
final class Answers {
    private final Map<QmpCommand, QmpAnswer> answers;

    private Answers(Map<QmpCommand, QmpAnswer> answers) {
        this.answers = answers;
    }

    /** Asks; the same question twice is asked once. */
    static Answers to(QmpClient qmp, Collection<QmpCommand> questions) throws TorporException {
        return to(qmp, questions, () -> {});
    }

    /** Asks, and does something else until QEMU answers. */
    static Answers to(QmpClient qmp, Collection<QmpCommand> questions, Runnable meanwhile) throws TorporException {
        List<QmpCommand> once = List.copyOf(new LinkedHashSet<>(questions));
        List<QmpAnswer> said = qmp.executeAll(once, meanwhile);
        Map<QmpCommand, QmpAnswer> answers = new HashMap<>();
        for (int i = 0; i < once.size(); i++) {
            answers.put(once.get(i), said.get(i));
        }
        return new Answers(answers);
    }

    /**
     * Returns the answer to a question that was asked.
     *
     * @throws QmpCommandException if QEMU refused it
     */
    JsonNode to(QmpCommand question) throws QmpCommandException {
        return Objects.requireNonNull(answers.get(question), question.name()).value();
    }

    /** Returns the answer; empty if QEMU refused the question. */
    Optional<JsonNode> ifAny(QmpCommand question) {
        return Objects.requireNonNull(answers.get(question), question.name()).ifReturned();
    }
}
