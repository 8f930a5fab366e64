package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.Engine;
import org.junit.jupiter.api.Tag;

/** {@link FailedSaves} with images of recorded channels. */
@Tag("qemu")
class FailedStreamSaveIT extends FailedSaves {
    FailedStreamSaveIT() {
        super(Engine.MULTIFD_STREAM);
    }
}
