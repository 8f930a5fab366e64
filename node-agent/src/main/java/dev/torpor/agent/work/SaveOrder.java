package dev.torpor.agent.work;

import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.failure.TorporException;
import java.time.Instant;
import java.util.List;

/** Who wants a save, what is wanted of it, and who hears how it goes. */
interface SaveOrder {
    ImageId image();

    ImageMode mode();

    SaveOptions options();

    /** The claims of the VM's pod, where that is known. */
    List<VmDisks.Claim> claims();

    /** The VM was looked at; nothing is done to it yet. */
    void planned(SavePlan plan, Instant startedAt) throws TorporException;

    /** The intent is recorded durably; the VM is not paused yet. */
    void recorded() throws TorporException;

    /** So far; called from another thread. */
    void progress(Progress progress);
}
