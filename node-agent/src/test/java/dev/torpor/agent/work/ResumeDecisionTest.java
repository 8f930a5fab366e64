package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.launch.VmRecord.Resume;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class ResumeDecisionTest {
    private static final LazyStart.Possible CAN = new LazyStart.Possible(List.of("qemu"), Set.of("pc.ram"));
    private static final LazyStart CANNOT = new LazyStart.NotPossible("it is too old");
    private static final VmRecord FRESH = VmRecord.NONE;

    private static VmRecord told(VmRecord vm, String ask, String restore, Resume how) {
        return vm.incoming("p1", ask, restore, how, Instant.EPOCH);
    }

    private static ResumeDecision decide(RestoreStrategy strategy, VmRecord vm, LazyStart lazy) {
        return ResumeDecision.of(strategy, vm, "r1", "a2", lazy, true);
    }

    private static ResumeDecision eager(boolean failed, String why) {
        return new ResumeDecision.Eager(new Resume(false, failed, Optional.of(why)));
    }

    @Test
    void autoIsLazyWhereThatCanBeAndSaysWhyElse() {
        assertThat(decide(RestoreStrategy.Auto, FRESH, CAN)).isEqualTo(new ResumeDecision.Lazy(CAN));
        assertThat(decide(RestoreStrategy.Auto, FRESH, CANNOT)).isEqualTo(eager(false, "it is too old"));
    }

    @Test
    void autoMapsNoImageWhosePagesNobodyHasReadBackUnlessItWasToldSoAlready() {
        LazyStart lazy = CAN;
        assertThat(ResumeDecision.of(RestoreStrategy.Auto, FRESH, "r1", "a2", lazy, false))
                .isEqualTo(eager(false, ResumeDecision.NOT_VERIFIED));
        assertThat(ResumeDecision.of(RestoreStrategy.Lazy, FRESH, "r1", "a2", lazy, false))
                .isEqualTo(new ResumeDecision.Lazy(CAN));
        assertThat(ResumeDecision.of(RestoreStrategy.Auto, FRESH, "r1", "a2", CANNOT, false))
                .isEqualTo(eager(false, "it is too old"));
        assertThat(ResumeDecision.of(
                        RestoreStrategy.Auto, told(FRESH, "a2", "r1", Resume.LAZY), "r1", "a2", lazy, false))
                .isEqualTo(new ResumeDecision.Lazy(CAN));
    }

    @Test
    void eagerIsEagerAndHasNoReason() {
        assertThat(decide(RestoreStrategy.Eager, FRESH, CAN)).isEqualTo(new ResumeDecision.Eager(Resume.EAGER));
    }

    @Test
    void lazyIsLazyOrRefused() {
        assertThat(decide(RestoreStrategy.Lazy, FRESH, CAN)).isEqualTo(new ResumeDecision.Lazy(CAN));
        assertThat(decide(RestoreStrategy.Lazy, FRESH, CANNOT)).isEqualTo(new ResumeDecision.Refuse("it is too old"));
    }

    @Test
    void theSameAskIsAnsweredTheSameWay() {
        assertThat(decide(RestoreStrategy.Auto, told(FRESH, "a2", "r1", Resume.LAZY), CAN))
                .isEqualTo(new ResumeDecision.Lazy(CAN));
        assertThat(decide(RestoreStrategy.Auto, told(FRESH, "a2", "r1", Resume.eager(false, "w")), CAN))
                .isEqualTo(eager(false, "w"));
    }

    @Test
    void aQemuThatEndedBeforeItWasFedIsFollowedByAnEagerOneForGood() {
        VmRecord once = told(FRESH, "a1", "r1", Resume.LAZY);
        String why = "it was tried, and QEMU ended before it was fed: see the pod's log";
        assertThat(decide(RestoreStrategy.Auto, once, CAN)).isEqualTo(eager(true, why));
        assertThat(decide(RestoreStrategy.Lazy, once, CAN)).isEqualTo(new ResumeDecision.Refuse(why));
        VmRecord twice = told(once, "a1b", "r1", Resume.eager(true, "QEMU ended"));
        assertThat(decide(RestoreStrategy.Auto, twice, CAN)).isEqualTo(eager(true, "it was tried, and QEMU ended"));
    }

    @Test
    void aLoadThatFailedIsFollowedByAnEagerOne() {
        VmRecord failed = told(FRESH, "a1", "r1", Resume.LAZY).lazyFailed("r1", "page 7 differs");
        assertThat(decide(RestoreStrategy.Auto, failed, CAN))
                .isEqualTo(eager(true, "it was tried, and page 7 differs"));
    }

    @Test
    void whatAnAgentsDeathSpoiledIsTriedAgain() {
        VmRecord spent = told(FRESH, "a1", "r1", Resume.LAZY).spent("r1");
        assertThat(decide(RestoreStrategy.Auto, spent, CAN)).isEqualTo(new ResumeDecision.Lazy(CAN));
    }

    @Test
    void anotherRestoresTriesDoNotCount() {
        VmRecord other = told(FRESH, "a1", "r0", Resume.LAZY);
        assertThat(decide(RestoreStrategy.Auto, other, CAN)).isEqualTo(new ResumeDecision.Lazy(CAN));
        assertThat(other.lazyFailed("r1", "x")).isEqualTo(other);
        assertThat(other.spent("r1")).isEqualTo(other);
    }
}
