package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SaveTurnsTest {
    private long nanos;
    private final List<String> woken = new ArrayList<>();
    private final SaveTurns turns = new SaveTurns(2, () -> nanos);

    @Test
    void noMoreThanAllowedAtOnce() {
        assertThat(turns.take("a", 1, () -> woken.add("a"))).isTrue();
        assertThat(turns.take("b", 2, () -> woken.add("b"))).isTrue();
        assertThat(turns.take("c", 3, () -> woken.add("c"))).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("c", 3, () -> woken.add("c"))).isTrue();
    }

    @Test
    void whoIsNextIsWokenAndNoOther() {
        turns.take("a", 1, () -> woken.add("a"));
        turns.take("b", 1, () -> woken.add("b"));
        turns.take("big", 9, () -> woken.add("big"));
        turns.take("small", 2, () -> woken.add("small"));
        assertThat(woken).isEmpty();
        turns.giveBack("a");
        assertThat(woken).containsExactly("small");
        turns.forget("small");
        turns.giveBack("b");
        assertThat(woken).containsExactly("small", "big");
    }

    @Test
    void ofThoseThatWaitTheSmallestIsNext() {
        turns.take("a", 1, () -> woken.add("a"));
        turns.take("b", 1, () -> woken.add("b"));
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        assertThat(turns.take("small", 2, () -> woken.add("small"))).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        assertThat(turns.take("small", 2, () -> woken.add("small"))).isTrue();
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        turns.giveBack("b");
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isTrue();
    }

    @Test
    void twoFreeTurnsGoToTheTwoSmallest() {
        turns.take("a", 1, () -> woken.add("a"));
        turns.take("b", 1, () -> woken.add("b"));
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        assertThat(turns.take("middle", 5, () -> woken.add("middle"))).isFalse();
        assertThat(turns.take("small", 2, () -> woken.add("small"))).isFalse();
        turns.giveBack("a");
        turns.giveBack("b");
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        assertThat(turns.take("middle", 5, () -> woken.add("middle"))).isTrue();
        assertThat(turns.take("small", 2, () -> woken.add("small"))).isTrue();
    }

    @Test
    void equalOnesAndThoseOfUnknownSizeHoldUpNobodyForEver() {
        turns.take("a", 0, () -> woken.add("a"));
        turns.take("b", 0, () -> woken.add("b"));
        assertThat(turns.take("c", 0, () -> woken.add("c"))).isFalse();
        assertThat(turns.take("d", 0, () -> woken.add("d"))).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("d", 0, () -> woken.add("d"))).isTrue();
    }

    @Test
    void aSaveThatAsksNoMoreIsNotWaitedFor() {
        turns.take("a", 1, () -> woken.add("a"));
        turns.take("b", 1, () -> woken.add("b"));
        assertThat(turns.take("cancelled", 1, () -> woken.add("cancelled"))).isFalse();
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        turns.giveBack("a");
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isFalse();
        nanos += SaveTurns.FORGOTTEN.toNanos() + 1;
        assertThat(turns.take("big", 9, () -> woken.add("big"))).isTrue();
    }

    @Test
    void aSaveThatIsToEndAndNeverDoesKeepsNoOthersFromTheirTurn() {
        turns.take("a", 1, () -> woken.add("a"));
        turns.take("b", 1, () -> woken.add("b"));
        assertThat(turns.lingers("a")).isFalse();
        nanos += SaveTurns.LINGERING_MAX.toNanos() - 1;
        assertThat(turns.lingers("a")).isFalse();
        assertThat(turns.take("c", 1, () -> woken.add("c"))).isFalse();
        nanos++;
        assertThat(turns.lingers("b")).as("only just").isFalse();
        assertThat(turns.lingers("a")).isTrue();
        assertThat(turns.lingers("a")).as("said once").isFalse();
        assertThat(turns.take("c", 1, () -> woken.add("c"))).isTrue();
        turns.giveBack("a");
        assertThat(turns.take("d", 1, () -> woken.add("d")))
                .as("it had none to give back")
                .isFalse();
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
