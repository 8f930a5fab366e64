package dev.torpor.agent.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The client against peers that are honest, slow, lying, flooding or gone. */
class QmpClientTest {
    private static final Duration SHORT = Duration.ofMillis(300);
    private static final Duration LONG = Duration.ofSeconds(20);
    private static final QmpLimits STRICT = limits(LONG, LONG);

    private static QmpLimits limits(Duration greeting, Duration command) {
        return new QmpLimits(greeting, command, 64 << 10, 16, 1000, 4, 100);
    }

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Path socket;

    @BeforeEach
    void nameTheSocket() {
        socket = temp.resolve("qmp.sock");
    }

    @Test
    void answersAreMatchedByIdAndEventsAreKept() throws Exception {
        try (FakeMonitor monitor =
                        peer(line -> "{\"event\":\"STOP\",\"timestamp\":{}}\n{\"return\":{\"x\":7},\"id\":2}\n");
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            JsonNode answer = client.execute("query-x", Map.of("a", 1));
            assertThat(answer.path("x").asInt()).isEqualTo(7);
            assertThat(client.version()).isEqualTo("10.0.2");
            assertThat(client.pollEvent()).map(QmpEvent::name).contains("STOP");
            assertThat(client.pollEvent()).isEqualTo(Optional.empty());
            assertThat(monitor.received.getLast()).contains("\"arguments\":{\"a\":1}");
        }
    }

    @Test
    void anErrorCarriesClassAndDescription() throws Exception {
        try (FakeMonitor _ = peer(line -> "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"no\"},\"id\":2}\n");
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            QmpCommandException e = catchThrowableOfType(QmpCommandException.class, () -> client.execute("nonsense"));
            assertThat(e.commandNotFound()).isTrue();
            assertThat(e).hasMessage("QEMU refused nonsense: no");
        }
    }

    @Test
    void severalCommandsAreSentAtOnceAndAnsweredInTheirOrder() throws Exception {
        // Nothing is answered before the last has come: a client that waits in between never gets there.
        String all = """
                {"return":7,"id":2}
                {"error":{"class":"GenericError","desc":"no"},"id":3}
                {"return":8,"id":4}
                """;
        try (FakeMonitor monitor = peer(line -> line.contains("query-c") ? all : "{\"event\":\"STOP\"}\n");
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            List<QmpAnswer> answers = client.executeAll(
                    List.of(QmpCommand.of("query-a"), QmpCommand.of("query-b"), QmpCommand.of("query-c")), () -> {});
            assertThat(answers.getFirst().value().asInt()).isEqualTo(7);
            assertThat(answers.get(1).ifReturned()).isEmpty();
            assertThatThrownBy(() -> answers.get(1).value()).hasMessage("QEMU refused query-b: no");
            assertThat(answers.getLast().value().asInt()).isEqualTo(8);
            assertThat(monitor.received).hasSize(4);
        }
    }

    @Test
    void anEventIsWaitedForAndOthersAreKept() throws Exception {
        String withEvents = """
                {"return":{},"id":2}
                {"event":"STOP"}
                {"event":"MIGRATION"}
                """;
        try (FakeMonitor _ = peer(line -> line.contains("query-a") ? withEvents : "{\"return\":{},\"id\":3}\n");
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            var _ = client.execute("query-a");
            assertThat(client.awaitEvent(e -> e.name().equals("MIGRATION"), Duration.ofMinutes(1)))
                    .isTrue();
            assertThat(client.awaitEvent(e -> e.name().equals("MIGRATION"), Duration.ZERO))
                    .isFalse();
            assertThat(client.pollEvent()).map(QmpEvent::name).contains("STOP");
            // A wait in vain spoils nothing.
            assertThat(client.execute("query-b").isEmpty()).isTrue();
        }
    }

    @Test
    void aMonitorThatCanIsAskedToReadAhead() throws Exception {
        String greeting = FakeMonitor.GREETING.replace("\"capabilities\":[]", "\"capabilities\":[\"oob\"]");
        try (FakeMonitor monitor = new FakeMonitor(
                        socket, greeting, FakeMonitor.negotiating(line -> "{\"return\":{},\"id\":2}\n"));
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            assertThat(client.execute("query-a").isEmpty()).isTrue();
            assertThat(monitor.received.getFirst()).contains("\"enable\":[\"oob\"]");
        }
    }

    @Test
    void aRefusedNegotiationIsNotTakenForOneOfTheCommand() throws Exception {
        try (FakeMonitor _ = new FakeMonitor(
                        socket,
                        FakeMonitor.GREETING,
                        line -> line.contains("qmp_capabilities")
                                ? "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"no\"},\"id\":1}\n"
                                : "{\"return\":{},\"id\":2}\n");
                QmpClient client = QmpClient.connect(socket, STRICT)) {
            TorporException e = catchThrowableOfType(TorporException.class, () -> client.execute("query-x"));
            assertThat(e.reason()).isEqualTo(FailureReason.NotQEMU);
            assertThat(e).hasMessageEndingWith("it sent a refusal of what it greeted with");
        }
    }

    /** However long the wait: others may want its room. */
    @Test
    void whoeverWaitsForAnEventNeedsTheLastAnswerNoMore() throws Exception {
        long before = MessageRoom.OF_PROCESS.leftBytes();
        QmpLimits limits = QmpLimits.DEFAULT;
        String fat = "{\"return\":[" + "{},".repeat(5_000) + "{}],\"id\":2}\n";
        try (FakeMonitor _ = peer(line -> fat);
                QmpClient client = QmpClient.connect(socket, limits)) {
            assertThat(client.execute("query-x")).hasSize(5_001);
            assertThat(MessageRoom.OF_PROCESS.leftBytes()).isLessThan(before);
            assertThat(client.awaitEvent(e -> e.name().equals("STOP"), Duration.ZERO))
                    .isFalse();
            assertThat(MessageRoom.OF_PROCESS.leftBytes()).isEqualTo(before);
        }
    }

    @Test
    void aSocketThatComesLaterIsFound() throws Exception {
        AtomicInteger tries = new AtomicInteger();
        String found = SocketWait.connect(Duration.ofMinutes(1), () -> {
            if (tries.incrementAndGet() < 3) {
                throw new TorporException(FailureReason.SocketMissing, "not yet");
            }
            return "there";
        });
        assertThat(found).isEqualTo("there");
        assertThatThrownBy(() -> SocketWait.connect(Duration.ZERO, () -> {
                    tries.incrementAndGet();
                    throw new TorporException(FailureReason.SocketMissing, "not yet");
                }))
                .hasMessage("not yet");
        assertThat(tries).hasValue(4);
        assertThatThrownBy(() -> SocketWait.connect(Duration.ofMinutes(1), () -> {
                    throw new TorporException(FailureReason.NotQEMU, "something else");
                }))
                .hasMessage("something else");
    }

    @Test
    void nobodyListening() {
        assertReason(FailureReason.SocketMissing, "nobody listens on the QMP socket");
    }

    @Test
    void aPeerThatNeverGreetsTimesOut() throws IOException {
        try (FakeMonitor _ = new FakeMonitor(socket, "", line -> "")) {
            assertReason(
                    limits(SHORT, LONG),
                    FailureReason.QMPTimeout,
                    "no answer in time to the greeting (does another client hold the monitor?)");
        }
    }

    @Test
    void aSocketNobodyAcceptsOnTimesOut() throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            assertReason(
                    limits(SHORT, LONG),
                    FailureReason.QMPTimeout,
                    "no answer in time to the greeting (does another client hold the monitor?)");
        }
    }

    @Test
    void aPeerThatIsNotQemu() throws IOException {
        try (FakeMonitor _ = new FakeMonitor(socket, "220 mail.example ESMTP\n", line -> "")) {
            assertThatThrownBy(() -> QmpClient.connect(socket, STRICT))
                    .hasMessageStartingWith("what answers on the socket does not speak QMP")
                    .extracting("reason")
                    .isEqualTo(FailureReason.NotQEMU);
        }
    }

    @Test
    void jsonWithoutGreeting() throws IOException {
        try (FakeMonitor _ = new FakeMonitor(socket, "{\"hello\":1}\n", line -> "")) {
            assertReason(
                    FailureReason.NotQEMU, "what answers on the socket does not speak QMP: it sent no QMP greeting");
        }
    }

    @Test
    void anEndlessLineEndsAtTheLimit() throws IOException {
        try (FakeMonitor _ = new FakeMonitor(socket, "x".repeat(1 << 20), line -> "")) {
            assertReason(
                    FailureReason.NotQEMU,
                    "what answers on the socket does not speak QMP: it sent a message of more than 65536 bytes");
        }
    }

    @Test
    void deepJsonEndsAtTheLimit() throws IOException {
        try (FakeMonitor _ = new FakeMonitor(socket, "[".repeat(1000) + "\n", line -> "")) {
            assertThatThrownBy(() -> QmpClient.connect(socket, STRICT))
                    .extracting("reason")
                    .isEqualTo(FailureReason.NotQEMU);
        }
    }

    @Test
    void anAnswerToAnotherIdIsALie() throws Exception {
        assertCommandFails(
                line -> "{\"return\":{},\"id\":99}\n",
                FailureReason.NotQEMU,
                "what answers on the socket does not speak QMP: it sent an answer to a command that was not asked");
    }

    @Test
    void aFloodOfEventsEndsAtTheLimit() throws Exception {
        assertCommandFails(
                line -> "{\"event\":\"E\"}\n".repeat(1000),
                FailureReason.NotQEMU,
                "what answers on the socket does not speak QMP: it sent more than 100 events before an answer");
    }

    @Test
    void aPeerThatHangsUp() throws Exception {
        assertCommandFails(
                line -> FakeMonitor.HANG_UP,
                FailureReason.QEMUGone,
                "QEMU closed its monitor while we waited for query-x");
    }

    @Test
    void aPeerThatNeverAnswers() throws Exception {
        assertCommandFails(limits(LONG, SHORT), line -> " ", FailureReason.QMPTimeout, "no answer in time to query-x");
    }

    @Test
    @Timeout(60)
    void aWaitThatIsHastenedEndsThoughNothingWasAnsweredAndTheNextCommandIsSentAllTheSame() throws Exception {
        QmpLimits patient = new QmpLimits(Duration.ofSeconds(20), Duration.ofHours(1), 64 << 10, 16, 1000, 4, 100);
        CountDownLatch asked = new CountDownLatch(1);
        try (FakeMonitor monitor = peer(line -> {
                    asked.countDown();
                    return " ";
                });
                QmpClient client = QmpClient.connect(socket, patient)) {
            Thread other = Thread.ofVirtual().start(() -> {
                try {
                    asked.await();
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                client.hasten(Duration.ofMillis(100));
            });
            TorporException e = catchThrowableOfType(TorporException.class, () -> client.execute("query-migrate"));
            other.join();
            assertThat(e.reason()).isEqualTo(FailureReason.QMPTimeout);
            assertThat(e).hasMessage("no answer in time to query-migrate");
            assertThat(catchThrowableOfType(TorporException.class, () -> client.execute("quit"))
                            .reason())
                    .isEqualTo(FailureReason.QMPTimeout);
            await().until(() -> monitor.received.getLast().contains("\"quit\""));
        }
    }

    private FakeMonitor peer(Function<String, String> answers) throws IOException {
        return new FakeMonitor(socket, FakeMonitor.GREETING, FakeMonitor.negotiating(answers));
    }

    private void assertReason(FailureReason reason, String message) {
        assertReason(STRICT, reason, message);
    }

    private void assertReason(QmpLimits limits, FailureReason reason, String message) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> QmpClient.connect(socket, limits));
        assertThat(e).hasMessage(message);
        assertThat(e.reason()).isEqualTo(reason);
    }

    private void assertCommandFails(Function<String, String> answers, FailureReason reason, String message)
            throws Exception {
        assertCommandFails(STRICT, answers, reason, message);
    }

    private void assertCommandFails(
            QmpLimits limits, Function<String, String> answers, FailureReason reason, String message) throws Exception {
        try (FakeMonitor _ = peer(answers);
                QmpClient client = QmpClient.connect(socket, limits)) {
            TorporException e = catchThrowableOfType(TorporException.class, () -> client.execute("query-x"));
            assertThat(e).hasMessage(message);
            assertThat(e.reason()).isEqualTo(reason);
        }
    }
}
