package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Engine;
import org.junit.jupiter.api.Tag;

/** {@link FailedSaves} with images that QEMU writes. */
@Tag("qemu")
class FailedSaveIT extends FailedSaves {
    FailedSaveIT() {
        super(Engine.QEMU_DIRECT);
    }
}
