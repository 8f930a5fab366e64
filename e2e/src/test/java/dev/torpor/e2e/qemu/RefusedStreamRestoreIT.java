package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Engine;
import org.junit.jupiter.api.Tag;

/** {@link RefusedRestores} with images of recorded channels. */
@Tag("qemu")
class RefusedStreamRestoreIT extends RefusedRestores {
    RefusedStreamRestoreIT() {
        super(Engine.MULTIFD_STREAM);
    }
}
