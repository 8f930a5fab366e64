package dev.torpor.agent.qmp;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.agent.linux.PeerCredentials;
import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * One client of one QEMU monitor: it has greeted, commands are answered in their order. A monitor serves one client; a
 * second one hears nothing until the first leaves. Commands block the calling thread up to their deadline; one thread at
 * a time is let in. After QMPTimeout, QEMUGone, NotQEMU or AgentRestarted the connection is of no more use: close it.
 *
 * <p>Closing it does not stop what QEMU is doing: a save goes on, and the next client sees its progress.
 */
public final class QmpClient implements AutoCloseable {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String OUT_OF_BAND = "oob";
    private static final String NEGOTIATION = "qmp_capabilities";
    private static final LongAdder TIMEOUTS = new LongAdder();

    private final UnixSocket socket;
    private final QmpLimits limits;
    private final MessageReader reader;
    private final Deque<Kept> events = new ArrayDeque<>();
    private final String version;
    private long lastId;
    private boolean negotiated;

    /** An event with the bytes that it came in. */
    private record Kept(QmpEvent event, int bytes) {}

    private QmpClient(UnixSocket socket, QmpLimits limits) throws TorporException {
        this.socket = socket;
        this.limits = limits;
        this.reader = new MessageReader(socket, limits, new Monitor());
        try {
            this.version = greet();
        } catch (TorporException | RuntimeException e) {
            reader.release();
            throw e;
        }
    }

    private String greet() throws TorporException {
        JsonNode greeting = greeting();
        String greeted = version(greeting);
        // With it QEMU reads the next commands while it executes one; they are executed one after another all the same.
        boolean readsAhead = false;
        for (JsonNode capability : greeting.path("QMP").path("capabilities")) {
            readsAhead |= capability.asText().equals(OUT_OF_BAND);
        }
        // A QEMU that is starting greets before it executes anything: its answer is left to the first command of the
        // caller, which is on its way by then.
        Map<String, ?> wanted = readsAhead ? Map.of("enable", List.of(OUT_OF_BAND)) : Map.of();
        send(NEGOTIATION, line(++lastId, NEGOTIATION, wanted), List.of());
        return greeted;
    }

    /**
     * Connects to the monitor whose socket a descriptor names, and waits for its greeting.
     *
     * @throws TorporException SocketMissing if nobody listens, QMPTimeout if no greeting comes, NotQEMU if something
     *     else answers
     */
    public static QmpClient connect(Descriptor socketInode, QmpLimits limits) throws TorporException {
        return connect(() -> UnixSocket.connect(socketInode), limits);
    }

    /** Connects by a path that a person gave; otherwise like {@link #connect(Descriptor, QmpLimits)}. */
    public static QmpClient connect(Path socket, QmpLimits limits) throws TorporException {
        return connect(() -> UnixSocket.connect(socket), limits);
    }

    private interface Connector {
        UnixSocket connect() throws IOException;
    }

    private static QmpClient connect(Connector connector, QmpLimits limits) throws TorporException {
        UnixSocket socket;
        try {
            socket = connector.connect();
        } catch (IOException e) {
            String why = e instanceof ErrnoException errno
                            && (errno.errno() == ErrnoException.ECONNREFUSED || errno.errno() == ErrnoException.ENOENT)
                    ? "nobody listens on the QMP socket"
                    : "cannot connect to the QMP socket: " + e.getMessage();
            throw new TorporException(FailureReason.SocketMissing, why, e);
        }
        try {
            return new QmpClient(socket, limits);
        } catch (TorporException | RuntimeException e) {
            closeQuietly(socket, e);
            throw e;
        }
    }

    /** Executes a command without arguments. */
    public JsonNode execute(String command) throws TorporException {
        return execute(command, Map.of());
    }

    /** Executes a command. */
    public JsonNode execute(QmpCommand command) throws TorporException {
        return execute(command.name(), command.arguments());
    }

    /**
     * Executes a command and waits for its answer, up to the limit for commands.
     *
     * @param arguments by name; values as Jackson turns them into JSON
     * @param descriptors sent along with the command, for {@code add-fd} and {@code getfd}; the caller keeps its own
     * @return what QEMU returned; an empty object for commands that return nothing
     * @throws QmpCommandException if QEMU answers with an error
     * @throws TorporException QMPTimeout, QEMUGone, NotQEMU; AgentRestarted if the thread was interrupted
     */
    public synchronized JsonNode execute(String command, Map<String, ?> arguments, Descriptor... descriptors)
            throws TorporException {
        long id = ++lastId;
        long end = deadline(limits.command());
        reader.forget();
        send(command, line(id, command, arguments), List.of(descriptors));
        negotiate(end);
        return answer(id, command, end).value();
    }

    /**
     * Executes several commands, in their order: all are sent at once, so that their number costs QEMU's time but not also
     * ours, once for each. One that is refused does not keep the next ones from being executed.
     *
     * @param meanwhile what the caller does while QEMU is at work
     * @return as many answers, in the same order
     * @throws TorporException QMPTimeout if not all are answered within the limit for one command, QEMUGone, NotQEMU
     */
    public List<QmpAnswer> executeAll(List<QmpCommand> commands, Runnable meanwhile) throws TorporException {
        return executeAll(commands, meanwhile, List.of());
    }

    /**
     * Executes several commands likewise.
     *
     * @param descriptor sent along, for the first command; the caller keeps its own
     */
    public List<QmpAnswer> executeAll(List<QmpCommand> commands, Descriptor descriptor) throws TorporException {
        return executeAll(commands, () -> {}, List.of(descriptor));
    }

    private synchronized List<QmpAnswer> executeAll(
            List<QmpCommand> commands, Runnable meanwhile, List<Descriptor> descriptors) throws TorporException {
        if (commands.isEmpty()) {
            meanwhile.run();
            return List.of();
        }
        String about = commands.getFirst().name();
        long end = deadline(limits.command());
        reader.forget();
        StringBuilder lines = new StringBuilder();
        long first = lastId + 1;
        for (QmpCommand command : commands) {
            lines.append(line(++lastId, command.name(), command.arguments()));
        }
        send(about, lines.toString(), descriptors);
        meanwhile.run();
        negotiate(end);
        List<QmpAnswer> answers = new ArrayList<>(commands.size());
        for (int i = 0; i < commands.size(); i++) {
            answers.add(answer(first + i, commands.get(i).name(), end));
        }
        return answers;
    }

    private void negotiate(long end) throws TorporException {
        if (!negotiated) {
            negotiated = true;
            // Told as the caller's command, a refusal would be taken for one of that.
            if (answer(1, NEGOTIATION, end) instanceof QmpAnswer.Refused) {
                throw notQemu("a refusal of what it greeted with");
            }
        }
    }

    private QmpAnswer answer(long id, String command, long end) throws TorporException {
        for (int n = 0; n < limits.messagesPerCommandMax(); n++) {
            JsonNode answer = reader.next(end, command);
            if (answer.has("event")) {
                keep(answer);
            } else if (!answer.path("id").isIntegralNumber()
                    || !answer.path("id").canConvertToLong()
                    || answer.path("id").longValue() != id) {
                throw notQemu("an answer to a command that was not asked");
            } else if (answer.has("return")) {
                reader.retain(); // together with the others that were asked for
                return new QmpAnswer.Returned(answer.get("return"));
            } else if (answer.has("error")) {
                JsonNode error = answer.get("error");
                return new QmpAnswer.Refused(new QmpCommandException(
                        command,
                        cut(error.path("class").asText()),
                        cut(error.path("desc").asText())));
            } else {
                throw notQemu("an answer with neither return nor error");
            }
        }
        throw notQemu("more than " + limits.messagesPerCommandMax() + " events before an answer");
    }

    /** Takes the oldest event that was received beside the answers, if there is one. */
    public synchronized Optional<QmpEvent> pollEvent() {
        return Optional.ofNullable(events.poll()).map(Kept::event);
    }

    /**
     * Waits for a certain event, and takes it; one that was received before will do, others are kept for {@link #pollEvent}.
     * Not a proof of anything: QEMU, or the limit of what is kept, may drop events.
     *
     * @return whether it came in that time
     * @throws TorporException QEMUGone, NotQEMU; QMPTimeout only if nothing was executed before
     */
    public synchronized boolean awaitEvent(Predicate<QmpEvent> wanted, Duration atMost) throws TorporException {
        long end = deadline(atMost);
        reader.forget(); // it may be long, and other VMs want the room
        negotiate(end);
        while (!events.removeIf(kept -> wanted.test(kept.event()))) {
            Optional<JsonNode> message = reader.nextUntil(end, "an event");
            if (message.isEmpty()) {
                return false;
            }
            if (!message.get().has("event")) {
                throw notQemu("an answer to a command that was not asked");
            }
            keep(message.get());
        }
        return true;
    }

    /**
     * From now on waits for answers no longer than this, for all of them together and also for one that is waited for now: what
     * QEMU says is of little moment any more, and it may never say it. Commands are sent all the same. For any thread.
     */
    public void hasten(Duration atMost) {
        reader.endBy(deadline(atMost));
    }

    /** Returns how often a QEMU has not answered in time, since the process began. */
    public static long timeouts() {
        return TIMEOUTS.sum();
    }

    private static final class Monitor implements MessageReader.Peer {
        @Override
        public TorporException silent(String waitingFor) {
            return timeout("no answer in time to " + waitingFor, null);
        }

        @Override
        public TorporException gone(String waitingFor, @Nullable IOException cause) {
            return cause == null
                    ? new TorporException(
                            FailureReason.QEMUGone, "QEMU closed its monitor while we waited for " + waitingFor)
                    : new TorporException(
                            FailureReason.QEMUGone, "lost the monitor while waiting for " + waitingFor, cause);
        }

        @Override
        public TorporException broken(String how, @Nullable IOException cause) {
            String message = "what answers on the socket does not speak QMP: " + how;
            return cause == null
                    ? new TorporException(FailureReason.NotQEMU, message)
                    : new TorporException(FailureReason.NotQEMU, message, cause);
        }
    }

    private static TorporException notQemu(String sent) {
        return new Monitor().broken("it sent " + sent, null);
    }

    private static TorporException timeout(String message, @Nullable Exception cause) {
        TIMEOUTS.increment();
        return new TorporException(FailureReason.QMPTimeout, message, cause);
    }

    /** Returns QEMU's version from the greeting, such as 10.0.2. */
    public String version() {
        return version;
    }

    /** Returns the process that serves the monitor. */
    public PeerCredentials peer() throws TorporException {
        try {
            return socket.peer();
        } catch (IOException e) {
            throw new TorporException(FailureReason.QEMUGone, "cannot tell which process serves the monitor", e);
        }
    }

    /** Leaves the monitor; whatever QEMU is doing goes on. */
    @Override
    public void close() {
        reader.release();
        try {
            socket.close();
        } catch (IOException e) {
            throw new IllegalStateException("closing a socket", e);
        }
    }

    private JsonNode greeting() throws TorporException {
        return reader.next(deadline(limits.greeting()), "the greeting (does another client hold the monitor?)");
    }

    private static String version(JsonNode greeting) throws TorporException {
        JsonNode qemu = greeting.path("QMP").path("version").path("qemu");
        if (!qemu.isObject()) {
            throw notQemu("no QMP greeting");
        }
        return qemu.path("major").asInt() + "." + qemu.path("minor").asInt() + "."
                + qemu.path("micro").asInt();
    }

    private static String line(long id, String command, Map<String, ?> arguments) {
        ObjectNode message = JSON.createObjectNode().put("execute", command).put("id", id);
        if (!arguments.isEmpty()) {
            message.set("arguments", JSON.valueToTree(arguments));
        }
        try {
            return JSON.writeValueAsString(message) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("arguments of " + command, e);
        }
    }

    private void send(String command, String lines, List<Descriptor> descriptors) throws TorporException {
        try {
            socket.send(lines.getBytes(StandardCharsets.UTF_8), descriptors, limits.command());
        } catch (SocketTimeoutException e) {
            throw timeout("QEMU does not take the command " + command, e);
        } catch (IOException e) {
            throw new TorporException(FailureReason.QEMUGone, "QEMU closed its monitor before " + command, e);
        }
    }

    private void keep(JsonNode message) {
        JsonNode data = message.path("data");
        QmpEvent event = new QmpEvent(message.path("event").asText(), data.isObject() ? data : JSON.createObjectNode());
        events.add(new Kept(event, reader.lastBytes()));
        while (events.size() > limits.eventsMax()
                || events.stream().mapToLong(Kept::bytes).sum() > QmpLimits.EVENT_BYTES_MAX) {
            events.remove();
        }
    }

    // The peer's words end up in conditions and logs: no longer than a person reads.
    private static String cut(String text) {
        return text.length() <= 500 ? text : text.substring(0, 500) + "…";
    }

    private static long deadline(Duration wait) {
        return System.nanoTime() + wait.toNanos();
    }

    private static void closeQuietly(UnixSocket socket, Exception because) {
        try {
            socket.close();
        } catch (IOException e) {
            because.addSuppressed(e);
        }
    }
}
