package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SaveWordsTest {
    private final SaveWords words = SaveWords.of(Drained.pod(), save -> 2);

    @ParameterizedTest
    @CsvSource({
        "2254857830, 4294967296, 2.1 of 4.0 GiB",
        "0, 1073741824, 0.0 of 1.0 GiB",
        "104857600, 536870912, 100.0 of 512.0 MiB"
    })
    void progressIsInUnitsThatPeopleRead(long done, long total, String text) {
        assertThat(words.of(new SaveStep.UnderWay(Drained.saving(Drained.save(1), done, total))))
                .isEqualTo("torpor: saving VM web: " + text + ", 6 s left");
    }

    @Test
    void aSaveThatWaitsSaysForHowMany() {
        VMSnapshot queued = Drained.says(
                Drained.bound(Drained.save(1)), ConditionType.SAVED, false, "Queued", "other VMs are saved first");
        assertThat(words.of(new SaveStep.UnderWay(queued)))
                .isEqualTo("torpor: saving VM web: queued behind 2 others of node n1");
        assertThat(SaveWords.of(Drained.pod(), save -> 1).of(new SaveStep.UnderWay(queued)))
                .isEqualTo("torpor: saving VM web: queued behind 1 other of node n1");
        assertThat(SaveWords.of(Drained.pod(), save -> 0).of(new SaveStep.UnderWay(queued)))
                .isEqualTo("torpor: saving VM web: it begins");
    }

    @Test
    void aSaveThatIsHeldUpSaysBywhat() {
        VMSnapshot away = Drained.says(
                Drained.bound(Drained.save(1)), ConditionType.READY, false, "StoreUnavailable", "The agent is away.");
        assertThat(words.of(new SaveStep.UnderWay(away)))
                .isEqualTo("torpor: saving VM web: held up by StoreUnavailable: The agent is away.");
    }

    @Test
    void aSaveThatIsToldToEndSaysThatANewOneFollows() {
        VMSnapshot deleted = Drained.bound(Drained.save(1));
        deleted.getMetadata().setDeletionTimestamp("2026-01-02T03:04:05Z");
        assertThat(words.of(new SaveStep.UnderWay(deleted)))
                .isEqualTo("torpor: an earlier save of VM web is being cancelled; a new one begins after it");
    }

    @Test
    void aSaveOfSomebodyElseIsNamed() {
        VMSnapshot nightly = Drained.saving(Drained.snapshot("nightly", SaveMode.Checkpoint, null), 1L << 30, 2L << 30);
        assertThat(words.of(new SaveStep.OtherUnderWay(nightly)))
                .isEqualTo(
                        "torpor: VM web is saved by VMSnapshot nightly (Checkpoint), which somebody made: 1.0 of 2.0 GiB, 6 s left");
    }

    @Test
    void everyOtherStepIsALineOfItsOwn() {
        assertThat(words.of(new SaveStep.Begin(1, Optional.empty()))).isEqualTo("torpor: saving VM web: it begins");
        assertThat(words.of(new SaveStep.Saved(Drained.save(1))))
                .isEqualTo("torpor: VM web is saved on node n1; its pod web-0 is being deleted");
        assertThat(words.of(new SaveStep.Retry(Drained.save(1), "StoreFailed: no.", Duration.ofSeconds(9))))
                .isEqualTo("torpor: VM web could not be saved and is tried again in 10 s: StoreFailed: no.");
        assertThat(words.of(new SaveStep.LetGo(Drained.save(1), "SaveFailed: no.")))
                .contains("onSaveFailure: Delete", "its memory is lost", "SaveFailed: no.");
    }

    @Test
    void theEstimateIsTheRequestOfTheQemuContainerElseItsLimitElseUnknown() {
        assertThat(MemoryEstimate.of(Drained.pod())).isEmpty();
        VMSnapshot save = Drained.save(1);
        assertThat(MemoryEstimate.of(save)).isZero();
        save.getMetadata().getAnnotations().put(Torpor.MEMORY_ANNOTATION, "4294967296");
        assertThat(MemoryEstimate.of(save)).isEqualTo(4294967296L);
        save.getMetadata().getAnnotations().put(Torpor.MEMORY_ANNOTATION, "much");
        assertThat(MemoryEstimate.of(save)).isZero();
    }
}
