package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SaveTurnsTest {
    private long nanos;
    private final SaveTurns turns = new SaveTurns(2, () -> nanos);

    @Test
    void noMoreThanAllowedAtOnce() {
        assertThat(turns.take("a", 1)).isTrue();
        assertThat(turns.take("b", 2)).isTrue();
        assertThat(turns.take("c", 3)).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("c", 3)).isTrue();
    }

    @Test
    void ofThoseThatWaitTheSmallestIsNext() {
        turns.take("a", 1);
        turns.take("b", 1);
        assertThat(turns.take("big", 9)).isFalse();
        assertThat(turns.take("small", 2)).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("big", 9)).isFalse();
        assertThat(turns.take("small", 2)).isTrue();
        assertThat(turns.take("big", 9)).isFalse();
        turns.giveBack("b");
        assertThat(turns.take("big", 9)).isTrue();
    }

    @Test
    void twoFreeTurnsGoToTheTwoSmallest() {
        turns.take("a", 1);
        turns.take("b", 1);
        assertThat(turns.take("big", 9)).isFalse();
        assertThat(turns.take("middle", 5)).isFalse();
        assertThat(turns.take("small", 2)).isFalse();
        turns.giveBack("a");
        turns.giveBack("b");
        assertThat(turns.take("big", 9)).isFalse();
        assertThat(turns.take("middle", 5)).isTrue();
        assertThat(turns.take("small", 2)).isTrue();
    }

    @Test
    void equalOnesAndThoseOfUnknownSizeHoldUpNobodyForEver() {
        turns.take("a", 0);
        turns.take("b", 0);
        assertThat(turns.take("c", 0)).isFalse();
        assertThat(turns.take("d", 0)).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("d", 0)).isTrue();
    }

    @Test
    void aSaveThatAsksNoMoreIsNotWaitedFor() {
        turns.take("a", 1);
        turns.take("b", 1);
        assertThat(turns.take("cancelled", 1)).isFalse();
        assertThat(turns.take("big", 9)).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("big", 9)).isFalse();
        nanos += SaveTurns.FORGOTTEN.toNanos() + 1;
        assertThat(turns.take("big", 9)).isTrue();
    }

    @Test
    void aSaveThatIsToEndAndNeverDoesKeepsNoOthersFromTheirTurn() {
        turns.take("a", 1);
        turns.take("b", 1);
        assertThat(turns.lingers("a")).isFalse();
        nanos += SaveTurns.LINGERING_MAX.toNanos() - 1;
        assertThat(turns.lingers("a")).isFalse();
        assertThat(turns.take("c", 1)).isFalse();
        nanos++;
        assertThat(turns.lingers("b")).as("only just").isFalse();
        assertThat(turns.lingers("a")).isTrue();
        assertThat(turns.lingers("a")).as("said once").isFalse();
        assertThat(turns.take("c", 1)).isTrue();
        turns.giveBack("a");
        assertThat(turns.take("d", 1)).as("it had none to give back").isFalse();
    }

    @ParameterizedTest
    @CsvSource({"4294967296, 4294967296", "'', 0", "-1, 0", "many, 0", "99999999999999999999, 0"})
    void theMemoryIsWhatTheAnnotationSaysIfItIsANumber(String text, long bytes) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .addToAnnotations(Torpor.MEMORY_ANNOTATION, text)
                .build());
        assertThat(SaveTurns.bytesOf(snapshot)).isEqualTo(bytes);
        snapshot.setMetadata(new ObjectMetaBuilder().build());
        assertThat(SaveTurns.bytesOf(snapshot)).isZero();
    }
}
