package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Engine;
import org.junit.jupiter.api.Tag;

/** {@link RefusedRestores} with images that QEMU writes. */
@Tag("qemu")
class RefusedRestoreIT extends RefusedRestores {
    RefusedRestoreIT() {
        super(Engine.QEMU_DIRECT);
    }
}
