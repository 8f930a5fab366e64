package dev.torpor.agent.qmp;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.sun.management.ThreadMXBean;
import dev.torpor.agent.linux.Proc;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Peers that want the agent's memory, descriptors or threads, held to the limits that are in force for every VM. While each is
 * at it, an honest QEMU is asked and answers. Memory is what the calling thread allocates, whatever is collected meanwhile.
 */
@Timeout(60)
class HostileMonitorTest {
    private static final long MIB = 1 << 20;
    private static final String GREETED = FakeMonitor.GREETING + "{\"return\":{},\"id\":1}\n";
    private static final QmpLimits LIMITS = limits(Duration.ofSeconds(30));
    private static final QmpLimits IMPATIENT = limits(Duration.ofMillis(500));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final long roomBefore = MessageRoom.OF_PROCESS.leftBytes();

    private static QmpLimits limits(Duration patience) {
        QmpLimits usual = QmpLimits.DEFAULT;
        return new QmpLimits(
                patience,
                patience,
                usual.lineBytesMax(),
                usual.depthMax(),
                usual.tokensMax(),
                usual.eventsMax(),
                usual.messagesPerCommandMax());
    }

    /** What a peer sends, over and over, once it was connected to; until the client hangs up. */
    private static final class Flood implements AutoCloseable {
        private final ServerSocketChannel server;

        Flood(Path socket, String first, String endless) throws IOException {
            server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofVirtual().start(() -> {
                try (SocketChannel client = server.accept()) {
                    send(client, first);
                    while (!endless.isEmpty()) {
                        send(client, endless);
                    }
                    while (client.read(ByteBuffer.allocate(1 << 16)) >= 0) {
                        // it never answers
                    }
                } catch (IOException e) {
                    return; // the client has hung up, as it should
                }
            });
        }

        private static void send(SocketChannel client, String text) throws IOException {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(UTF_8));
            while (bytes.hasRemaining()) {
                client.write(bytes);
            }
        }

        @Override
        public void close() throws IOException {
            server.close();
        }
    }

    @FunctionalInterface
    private interface Attack {
        void run(Path socket) throws TorporException;
    }

    /** Runs an attack, and asks an honest QEMU before, during and after it. */
    private void refused(
            FailureReason reason, String message, long allocatedMax, String first, String endless, Attack attack)
            throws Exception {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        Path honestSocket = temp.resolve("honest");
        Path hostileSocket = temp.resolve("hostile");
        try (FakeMonitor _ = new FakeMonitor(
                        honestSocket,
                        FakeMonitor.GREETING,
                        FakeMonitor.negotiating(line ->
                                "{\"return\":{},\"id\":" + line.replaceAll(".*\"id\":(\\d+).*", "$1") + "}\n"));
                QmpClient honest = QmpClient.connect(honestSocket, LIMITS);
                Flood _ = new Flood(hostileSocket, first, endless)) {
            Thread attacked = Thread.currentThread();
            long before = threads.getThreadAllocatedBytes(attacked.threadId());
            AtomicInteger served = new AtomicInteger();
            Thread other = Thread.ofPlatform().start(() -> {
                try {
                    while (served.get() < 100 && honest.execute("query-status").isEmpty()) {
                        served.incrementAndGet();
                    }
                } catch (TorporException e) {
                    served.set(-1);
                }
            });
            TorporException e = catchThrowableOfType(TorporException.class, () -> attack.run(hostileSocket));
            long allocated = threads.getThreadAllocatedBytes(attacked.threadId()) - before;
            assertThat(e).hasMessageContaining(message);
            assertThat(e.reason()).isEqualTo(reason);
            assertThat(allocated).as("bytes allocated").isLessThan(allocatedMax);
            other.join();
            assertThat(served).as("questions that the honest VM answered").hasValue(100);
        }
    }

    private static void connect(Path socket) throws TorporException {
        QmpClient.connect(socket, LIMITS).close();
    }

    private static void ask(Path socket) throws TorporException {
        ask(socket, LIMITS);
    }

    private static void ask(Path socket, QmpLimits limits) throws TorporException {
        try (QmpClient client = QmpClient.connect(socket, limits)) {
            var _ = client.execute("query-status");
        }
    }

    @Test
    void aLineWithoutEndCostsNoMoreThanTheLongestThatIsTaken() throws Exception {
        refused(
                FailureReason.NotQEMU,
                "a message of more than " + LIMITS.lineBytesMax() + " bytes",
                32 * MIB,
                "{\"QMP\":\"",
                "x".repeat(1 << 16),
                HostileMonitorTest::connect);
    }

    /** Three bytes each, and 90 of memory. */
    @Test
    void anAnswerOfAMillionEmptyObjectsIsNotMadeATreeOf() throws Exception {
        String objects = "{},".repeat(LIMITS.lineBytesMax() / 3 - 100) + "{}";
        refused(
                FailureReason.NotQEMU,
                "Token count",
                64 * MIB,
                GREETED + "{\"id\":2,\"return\":[" + objects + "]}\n",
                "",
                HostileMonitorTest::ask);
    }

    /** Each of them is one that is taken; together they would be more than the agent has. */
    @Test
    void answersThatAreTooMuchTogetherAreRefused() throws Exception {
        String many = "{\"return\":[" + "{},".repeat(60_000) + "{}],\"id\":";
        StringBuilder answers = new StringBuilder(GREETED);
        for (int id = 2; id < 22; id++) {
            answers.append(many).append(id).append("}\n");
        }
        refused(
                FailureReason.NotQEMU,
                "answers that are too much for one VM",
                64 * MIB,
                answers.toString(),
                "",
                socket -> {
                    try (QmpClient client = QmpClient.connect(socket, LIMITS)) {
                        var _ = client.executeAll(Collections.nCopies(20, QmpCommand.of("query-status")), () -> {});
                    }
                });
        assertThat(MessageRoom.OF_PROCESS.leftBytes()).isEqualTo(roomBefore);
    }

    /** One after the other they are no more than one. */
    @Test
    void aVmMayAnswerAtLengthAsOftenAsItIsAsked() throws Exception {
        Path socket = temp.resolve("long");
        String fat = "{\"return\":[" + "{},".repeat(60_000) + "{}],\"id\":";
        try (FakeMonitor _ = new FakeMonitor(
                        socket,
                        FakeMonitor.GREETING,
                        FakeMonitor.negotiating(line -> fat + line.replaceAll(".*\"id\":(\\d+).*", "$1") + "}\n"));
                QmpClient client = QmpClient.connect(socket, LIMITS)) {
            for (int n = 0; n < 10; n++) {
                assertThat(client.execute("query-x")).hasSize(60_001);
            }
        }
        assertThat(MessageRoom.OF_PROCESS.leftBytes()).isEqualTo(roomBefore);
    }

    /** Many VMs that send as much as one may, at the same time: each is read when there is room, and an honest one all the time. */
    @Test
    void manyVmsTogetherHaveNoMoreRoomThanThereIs() throws Exception {
        String fat = "{\"return\":[" + "{},".repeat(60_000) + "{}],\"id\":2}\n";
        try (ExecutorService pods = Executors.newCachedThreadPool()) {
            List<Future<Integer>> asked = new ArrayList<>();
            AtomicLong least = new AtomicLong(Long.MAX_VALUE);
            for (int n = 0; n < 12; n++) {
                Path socket = temp.resolve("pod" + n);
                asked.add(pods.submit(() -> {
                    try (Flood _ = new Flood(socket, GREETED + fat, "");
                            QmpClient client = QmpClient.connect(socket, LIMITS)) {
                        int size = client.execute("query-x").size();
                        least.accumulateAndGet(MessageRoom.OF_PROCESS.leftBytes(), Math::min);
                        return size;
                    }
                }));
            }
            for (Future<Integer> one : asked) {
                assertThat(one.get()).isEqualTo(60_001);
            }
            assertThat(least.get()).isBetween(0L, roomBefore - (5L << 20));
        }
        assertThat(MessageRoom.OF_PROCESS.leftBytes()).isEqualTo(roomBefore);
    }

    @Test
    void jsonOfAMillionLevelsIsNotFollowed() throws Exception {
        refused(
                FailureReason.NotQEMU,
                "nesting depth",
                32 * MIB,
                "[".repeat(1_000_000) + "\n",
                "",
                HostileMonitorTest::connect);
        String deep = "{\"a\":".repeat(100_000) + "1" + "}".repeat(100_000);
        try (Flood _ = new Flood(temp.resolve("deep"), GREETED + "{\"id\":2,\"return\":" + deep + "}\n", "")) {
            TorporException e = catchThrowableOfType(TorporException.class, () -> ask(temp.resolve("deep")));
            assertThat(e.reason()).isEqualTo(FailureReason.NotQEMU);
        }
    }

    @Test
    void eventsWithoutEndAreNotTakenForAnAnswer() throws Exception {
        refused(
                FailureReason.NotQEMU,
                "more than " + LIMITS.messagesPerCommandMax() + " events before an answer",
                256 * MIB, // collected as they come: 10,000 small trees
                GREETED,
                "{\"event\":\"E\",\"data\":{\"x\":\"" + "y".repeat(1000) + "\"}}\n",
                HostileMonitorTest::ask);
    }

    @Test
    void aPeerThatNeverAnswersIsGivenUp() throws Exception {
        refused(FailureReason.QMPTimeout, "no answer in time", 8 * MIB, GREETED, "", socket -> ask(socket, IMPATIENT));
    }

    @Test
    void answersToOtherIdsAreNone() throws Exception {
        for (String id : new String[] {"3", "-2", "2.0", "\"2\"", "18446744073709551618", "null", "[2]"}) {
            Path socket = temp.resolve("id" + Integer.toHexString(id.hashCode()));
            try (Flood _ = new Flood(socket, GREETED + "{\"return\":{},\"id\":" + id + "}\n", "")) {
                TorporException e = catchThrowableOfType(TorporException.class, () -> ask(socket));
                assertThat(e.reason()).as(id).isEqualTo(FailureReason.NotQEMU);
            }
        }
    }

    /** 256 events of 4 MiB would be more than an agent has. */
    @Test
    void fatEventsAreNotKept() throws Exception {
        String fat = "{\"event\":\"FAT\",\"data\":{\"x\":[" + "{},".repeat(60_000) + "{}]}}\n";
        String slim = "{\"event\":\"STOP\"}\n";
        Path socket = temp.resolve("fat");
        String answer = fat.repeat(40) + slim + "{\"return\":{},\"id\":2}\n";
        try (FakeMonitor _ = new FakeMonitor(socket, FakeMonitor.GREETING, FakeMonitor.negotiating(_ -> answer));
                QmpClient client = QmpClient.connect(socket, LIMITS)) {
            assertThat(client.execute("query-x").isEmpty()).isTrue();
            assertThat(client.pollEvent()).map(QmpEvent::name).contains("STOP");
            assertThat(client.pollEvent()).isEmpty();
        }
    }

    @Test
    void noDescriptorIsLostOnPeersThatAreRefused() throws Exception {
        int pid = (int) ProcessHandle.current().pid();
        Path socket = temp.resolve("many");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofVirtual().start(() -> {
                while (true) {
                    try (SocketChannel client = server.accept()) {
                        Flood.send(client, "220 mail.example ESMTP\n");
                    } catch (IOException e) {
                        return; // the test is over
                    }
                }
            });
            var _ = catchThrowableOfType(TorporException.class, () -> connect(socket)); // classes are loaded
            int before = Proc.openFiles(pid);
            for (int i = 0; i < 200; i++) {
                TorporException e = catchThrowableOfType(TorporException.class, () -> connect(socket));
                assertThat(e.reason()).isIn(FailureReason.NotQEMU, FailureReason.QEMUGone);
            }
            assertThat(Proc.openFiles(pid)).isLessThan(before + 20);
        }
    }
}
