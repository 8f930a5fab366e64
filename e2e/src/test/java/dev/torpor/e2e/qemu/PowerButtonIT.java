package dev.torpor.e2e.qemu;

import static org.awaitility.Awaitility.await;

import dev.torpor.agent.engine.Guest;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The power button of a real machine; no guest is there to take notice of it. */
@Tag("qemu")
class PowerButtonIT {
    @Test
    void qemuPassesThePressOn(@TempDir Path folder) throws Exception {
        try (Vm vm = Vm.bare(folder, 32)) {
            Guest.pressPowerButton(vm.qmp());
            await("POWERDOWN").atMost(Duration.ofMinutes(1)).until(() -> {
                // Events come with the answers to commands.
                Guest.runState(vm.qmp());
                return vm.qmp()
                        .pollEvent()
                        .filter(event -> event.name().equals("POWERDOWN"))
                        .isPresent();
            });
        }
    }
}
