package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import dev.torpor.agent.work.SimulatedFleet.Counts;
import dev.torpor.agent.work.SimulatedFleet.Fence;
import java.util.OptionalLong;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Thousands of lives of a VM that is saved, started, crashed and moved at random. */
class ManagedSaveSimulationTest {
    private static final int RUNS = Integer.getInteger("torpor.simulation.runs", 3000);
    private static final int STEPS = 600;
    private static final int NODES = 3;

    @Test
    @SuppressWarnings("SystemOut") // How much was tried belongs to the result.
    void noRunBreaksAnInvariant() {
        long first = Long.getLong("torpor.simulation.seed", System.nanoTime());
        int saves = 0;
        int resumes = 0;
        int boots = 0;
        int faults = 0;
        int ends = 0;
        for (long seed = first; seed < first + RUNS; seed++) {
            try {
                Counts counts = new SimulatedFleet(seed, NODES).run(STEPS);
                saves += counts.saves();
                resumes += counts.resumes();
                boots += counts.boots();
                faults += counts.faults();
                ends += counts.ends();
            } catch (SimulatedFleet.BrokenException e) {
                fail("seed %d (-Dtorpor.simulation.seed=%d -Dtorpor.simulation.runs=1)".formatted(seed, seed), e);
            }
        }
        System.out.printf(
                "figure: managed saves: %d runs from seed %d: %d saves, %d resumes, %d boots, %d faults; %d VMs saved as their pods ended%n",
                RUNS, first, saves, resumes, boots, faults, ends);
        assertThat(resumes).as("runs that never get anywhere prove nothing").isGreaterThan(RUNS / 2);
        assertThat(saves).isGreaterThanOrEqualTo(resumes);
        assertThat(ends).as("VMs saved as their pods ended").isGreaterThan(RUNS / 50);
    }

    @ParameterizedTest
    @EnumSource
    void aMissingFenceIsNoticed(Fence fence) {
        OptionalLong broken = LongStream.range(0, RUNS)
                .filter(seed -> breaks(new SimulatedFleet(seed, NODES).without(fence)))
                .findFirst();
        assertThat(broken).as("without " + fence).isPresent();
    }

    private static boolean breaks(SimulatedFleet fleet) {
        try {
            var _ = fleet.run(STEPS);
            return false;
        } catch (SimulatedFleet.BrokenException e) {
            return true;
        }
    }
}
