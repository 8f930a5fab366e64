package dev.torpor.agent.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.linux.UnixSocket;
import dev.torpor.agent.qmp.MessageRoom.Outcome;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(30)
class MessageRoomTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final MessageRoom room = new MessageRoom(100, 60, 0);
    private final MessageRoom.Share one = room.share();
    private final MessageRoom.Share other = room.share();

    @Test
    void nobodyHasMoreThanHisShare() {
        assertThat(one.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(one.take(1, later())).isEqualTo(Outcome.TOO_MUCH);
        assertThat(room.leftBytes()).isEqualTo(40);
    }

    @Test
    void whatOthersHaveIsWaitedForNoLongerThanOneCan() {
        assertThat(one.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(other.take(41, System.nanoTime())).isEqualTo(Outcome.CROWDED);
        assertThat(other.take(40, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(room.leftBytes()).isZero();
    }

    @Test
    void whatIsGivenBackIsTaken() throws Exception {
        assertThat(one.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        Thread waits = Thread.ofPlatform().start(() -> {
            if (other.take(60, later()) == Outcome.TAKEN) {
                other.giveBack(10);
            }
        });
        one.giveBack(60);
        waits.join();
        assertThat(room.leftBytes()).isEqualTo(50);
    }

    @Test
    void whateverOthersHaveEachHasHisReserve() {
        MessageRoom reserving = new MessageRoom(100, 60, 20);
        MessageRoom.Share first = reserving.share();
        MessageRoom.Share second = reserving.share();
        MessageRoom.Share third = reserving.share();
        MessageRoom.Share honest = reserving.share();
        assertThat(first.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(second.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(third.take(40, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(reserving.leftBytes()).isZero();
        assertThat(honest.take(15, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        assertThat(honest.take(6, System.nanoTime())).isEqualTo(Outcome.CROWDED);
        assertThat(honest.take(5, System.nanoTime())).isEqualTo(Outcome.TAKEN);

        honest.giveBack(20);
        assertThat(reserving.leftBytes()).isZero();
        first.giveBack(50);
        assertThat(reserving.leftBytes()).isEqualTo(40);
        first.giveBack(10);
        second.giveBack(60);
        third.giveBack(40);
        assertThat(reserving.leftBytes()).isEqualTo(100);
    }

    @Test
    void anInterruptIsNotACrowd() throws Exception {
        assertThat(one.take(60, System.nanoTime())).isEqualTo(Outcome.TAKEN);
        Thread.currentThread().interrupt();
        assertThat(other.take(60, later())).isEqualTo(Outcome.INTERRUPTED);
        assertThat(Thread.interrupted()).isTrue();
        assertThat(room.leftBytes()).isEqualTo(40);
    }

    @Test
    void anInterruptIsToldAsTheAgentsEnd() throws Exception {
        String greeting = FakeMonitor.GREETING.replace("\"package\":\"\"", "\"package\":\"" + "x".repeat(5000) + "\"");
        try (FakeMonitor _ = new FakeMonitor(temp.resolve("s"), greeting, _ -> "");
                UnixSocket socket = UnixSocket.connect(temp.resolve("s"))) {
            MessageRoom full = new MessageRoom(1 << 20, 1 << 20, 0);
            assertThat(full.share().take(1 << 20, System.nanoTime())).isEqualTo(Outcome.TAKEN);
            MessageReader reader = new MessageReader(socket, QmpLimits.DEFAULT, new Stranger(), full);
            Thread.currentThread().interrupt();
            TorporException e = catchThrowableOfType(TorporException.class, () -> reader.next(later(), "a greeting"));
            assertThat(Thread.interrupted()).isTrue();
            assertThat(e.reason()).isEqualTo(FailureReason.AgentRestarted);
        }
    }

    private static final class Stranger implements MessageReader.Peer {
        @Override
        public TorporException silent(String waitingFor) {
            return new TorporException(FailureReason.QMPTimeout, waitingFor);
        }

        @Override
        public TorporException gone(String waitingFor, @Nullable IOException cause) {
            return new TorporException(FailureReason.QEMUGone, waitingFor);
        }

        @Override
        public TorporException broken(String how, @Nullable IOException cause) {
            return new TorporException(FailureReason.NotQEMU, how);
        }
    }

    private static long later() {
        return System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    }
}
