package dev.torpor.agent.qmp;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.qmp.MessageRoom.Outcome;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class MessageRoomTest {
    private final MessageRoom room = new MessageRoom(100, 60);
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

    private static long later() {
        return System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
    }
}
