package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.demo.Demo;
import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The whole way on a real kubelet: what the demo shows is tested like everything else. */
@Tag("node")
class DemoIT {
    @Test
    void aVmIsSavedAndCarriesOnAfterItsRestoreAndNothingIsLeft() throws IOException {
        MachineTraces before = MachineTraces.look();
        assertThat(Demo.shows(Map.of())).as("the demo's own words are above").isTrue();
        assertThat(MachineTraces.look()).isEqualTo(before);
    }
}
