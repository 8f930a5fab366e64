package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.launch.VmName;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class NodeShutdownPlanTest {
    private static final long GB = 1_000_000_000;
    private static final OptionalLong GB_PER_SECOND = OptionalLong.of(GB);

    // VMs as name:priority:gigabytes; each takes its gigabytes in seconds, and 0.4 s. "?": not known.
    @ParameterizedTest
    @CsvSource({
        // the shortest first
        "'a:0:3 b:0:1 c:0:2', 10, 'b c a', ''",
        // but the most important before all
        "'a:0:1 b:100:3 c:5:2', 10, 'b c a', ''",
        // system priorities are the largest there are
        "'a:2000000000:3 b:-5:1', 10, 'a b', ''",
        // what does not fit is passed over for what does
        "'a:9:8 b:0:1 c:0:2', 4, 'b c', 'a'",
        "'a:9:2 b:5:3 c:1:1', 4, 'a c', 'b'",
        // the important one takes the time of two others
        "'a:9:3 b:0:1 c:0:1', 4, a, 'b c'",
        // exactly in time, and one thousandth less
        "'a:0:1 b:0:2', 3.8, 'a b', ''",
        "'a:0:1 b:0:2', 3.799, a, b",
        // nothing fits, nothing is begun
        "'a:0:5 b:1:6', 2, '', 'b a'",
        "'a:0:0', 0, '', a",
        // of unknown size: last among its equals, and tried
        "'a:0:? b:0:4', 5, 'b a', ''",
        "'a:9:? b:0:4', 5, 'a b', ''",
        "'', 5, '', ''"
    })
    void importanceThenLengthThenWhatFits(String vms, double seconds, String saves, String leftOut) {
        NodeShutdownPlan plan =
                NodeShutdownPlan.of(vms(vms), GB_PER_SECOND, Duration.ofNanos(Math.round(seconds * 1e9)));

        assertThat(names(plan.saves())).isEqualTo(saves);
        assertThat(names(plan.leftOut())).isEqualTo(leftOut);
    }

    @Test
    void aRateThatIsNotKnownLeavesNoneOutThatHasTimeToBegin() {
        NodeShutdownPlan plan =
                NodeShutdownPlan.of(vms("a:0:900 b:5:900"), OptionalLong.empty(), Duration.ofSeconds(2));

        assertThat(names(plan.saves())).isEqualTo("b a");
    }

    private static List<NodeVm> vms(String spec) {
        return Arrays.stream(spec.split(" "))
                .filter(word -> !word.isEmpty())
                .map(word -> word.split(":"))
                .map(parts -> new NodeVm(
                        new VmName("vms", parts[0]),
                        "uid-" + parts[0],
                        Integer.parseInt(parts[1]),
                        parts[2].equals("?") ? OptionalLong.empty() : OptionalLong.of(Long.parseLong(parts[2]) * GB)))
                .toList();
    }

    private static String names(List<NodeVm> vms) {
        return String.join(" ", vms.stream().map(vm -> vm.vm().name()).toList());
    }
}
