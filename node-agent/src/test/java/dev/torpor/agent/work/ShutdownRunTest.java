package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.UnsavedVM;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class ShutdownRunTest {
    private static final long GB = 1_000_000_000;
    private static final OptionalLong GB_PER_SECOND = OptionalLong.of(GB);
    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");

    private static NodeVm vm(String name, int priority, long gigabytes) {
        return new NodeVm(new VmName("vms", name), name, priority, OptionalLong.of(gigabytes * GB));
    }

    private static ShutdownRun run(int waitSeconds, NodeVm... vms) {
        ShutdownRun run = new ShutdownRun(START, Duration.ofSeconds(waitSeconds), () -> {});
        run.take(List.of(vms));
        return run;
    }

    private static List<String> choose(ShutdownRun run, double seconds) {
        return run.choose(GB_PER_SECOND, 2, at(seconds)).stream()
                .map(NodeVm::podUID)
                .toList();
    }

    private static Instant at(double seconds) {
        return START.plusNanos(Math.round(seconds * 1e9));
    }

    @Test
    void soManyAtATimeAndTheNextWhenOneIsDone() {
        ShutdownRun run = run(30, vm("a", 1, 1), vm("b", 2, 1), vm("c", 3, 1));

        assertThat(choose(run, 0)).containsExactly("c", "b");
        run.begun("c");
        run.begun("b");
        assertThat(choose(run, 1)).isEmpty();
        run.saved("c");
        assertThat(choose(run, 1)).containsExactly("a");
        run.saved("b");
        assertThat(run.isOver(at(2))).isFalse();
        run.saved("a");
        assertThat(run.isOver(at(2))).isTrue();
        assertThat(run.report().savedVMs()).isEqualTo(3);
        assertThat(run.report().unsaved()).isEmpty();
    }

    @Test
    void whatIsUnderWayTakesOfTheTimeOfTheOthersAndWhatItLeavesIsGivenAway() {
        ShutdownRun run = run(10, vm("a", 9, 5), vm("b", 0, 5));

        assertThat(choose(run, 0)).as("9 s for 5.4 s and 5.4 s").containsExactly("a");
        run.begun("a");
        run.saved("a");
        assertThat(choose(run, 2)).as("it was faster than thought").containsExactly("b");
    }

    @Test
    void whatNeverFitsIsLeftOutWithNumbersOnceNothingIsUnderWay() {
        ShutdownRun run = run(5, vm("big", 9, 40), vm("small", 0, 1));

        assertThat(choose(run, 0)).containsExactly("small");
        run.begun("small");
        assertThat(run.isOver(at(1))).isFalse();
        run.saved("small");
        assertThat(choose(run, 1)).isEmpty();
        assertThat(run.isOver(at(1))).isTrue();
        NodeShutdownStatus report = run.report();
        assertThat(report.savedVMs()).isEqualTo(1);
        assertThat(report.waitSeconds()).isEqualTo(5);
        assertThat(report.beganAt()).isEqualTo("2026-01-01T00:00:00Z");
        assertThat(report.unsaved())
                .extracting(UnsavedVM::vmName, UnsavedVM::reason, UnsavedVM::message)
                .containsExactly(tuple(
                        "big",
                        "DeadlineExceeded",
                        "no time was left: saving it takes 40.4 s, logind gave 5.0 s to all VMs of this node"));
    }

    @Test
    void aVmWhoseWorkerIsBusyHoldsUpNoOthers() {
        ShutdownRun run = run(60, vm("a", 9, 1), vm("b", 8, 1), vm("c", 7, 1));

        assertThat(choose(run, 0)).containsExactly("a", "b");
        assertThat(choose(run, 0.5)).isEmpty();
        assertThat(choose(run, 1.5)).containsExactly("c");
    }

    @Test
    void nothingBeginsThatCannotBeDoneAnyMore() {
        ShutdownRun run = run(10, vm("a", 0, 5));
        choose(run, 0);

        assertThat(run.fits("a", GB_PER_SECOND, at(3))).isTrue();
        assertThat(run.fits("a", GB_PER_SECOND, at(4))).isFalse();
    }

    @Test
    void aVmWhoseSizeIsKnownOnlyThenIsLookedAtAgainBeforeItBegins() {
        ShutdownRun run = run(10, new NodeVm(new VmName("vms", "a"), "a", 0, OptionalLong.empty()));
        assertThat(choose(run, 0)).containsExactly("a");
        assertThat(run.fits("a", GB_PER_SECOND, at(0))).isTrue();

        run.measured("a", OptionalLong.of(20 * GB));
        assertThat(run.fits("a", GB_PER_SECOND, at(0))).isFalse();
    }

    @Test
    void whenLogindsTimeIsOverSoIsTheRunAndWhatIsLeftSaysSo() {
        ShutdownRun run = run(10, vm("a", 9, 1), vm("b", 8, 1), vm("c", 7, 1));
        choose(run, 0);

        assertThat(run.until()).isEqualTo(at(9));
        assertThat(run.isOver(at(9.9))).isFalse();
        assertThat(run.isOver(at(10))).isTrue();
        assertThat(run.report().unsaved())
                .extracting(UnsavedVM::reason)
                .containsOnly("DeadlineExceeded")
                .hasSize(3);
    }

    @Test
    void afterItWasCancelledNothingBeginsAndWhatWasSavedStaysSaved() {
        ShutdownRun run = run(30, vm("a", 9, 1), vm("b", 8, 1), vm("c", 7, 1));
        choose(run, 0);
        run.saved("a");
        run.cancel();

        assertThat(choose(run, 1)).isEmpty();
        assertThat(run.active()).containsExactly("b");
        run.failed("b", "Cancelled", "undone");
        assertThat(run.isOver(at(1))).isTrue();
        assertThat(run.report().cancelled()).isTrue();
        assertThat(run.report().savedVMs()).isEqualTo(1);
        assertThat(run.report().unsaved())
                .extracting(UnsavedVM::vmName, UnsavedVM::reason)
                .containsExactly(tuple("c", "Cancelled"), tuple("b", "Cancelled"));
    }

    @Test
    void withoutAnyTimeNothingIsBegun() {
        ShutdownRun run = run(0, vm("a", 0, 1));

        assertThat(run.choose(OptionalLong.empty(), 2, START)).isEmpty();
        assertThat(run.isOver(START)).isTrue();
        assertThat(run.report().unsaved()).hasSize(1);
    }

    @Test
    void anAgentThatDoesNotKnowItsVmsYetWaitsForThemButNoLongerThanLogind() {
        ShutdownRun run = new ShutdownRun(START, Duration.ofSeconds(5), () -> {});

        assertThat(choose(run, 0)).isEmpty();
        assertThat(run.isOver(at(1))).isFalse();
        run.take(List.of(vm("a", 0, 1)));
        assertThat(choose(run, 1)).containsExactly("a");
        assertThat(new ShutdownRun(START, Duration.ofSeconds(5), () -> {}).isOver(at(5)))
                .isTrue();

        ShutdownRun cancelled = new ShutdownRun(START, Duration.ofSeconds(5), () -> {});
        cancelled.cancel();
        assertThat(cancelled.isOver(at(1))).isTrue();
    }
}
