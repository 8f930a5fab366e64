package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.engine.RunState;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.agent.qmp.GuestAgentException;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** A connection to the QEMU of a pod; what it does is described at the engine. Closing it leaves QEMU to itself. */
interface Vm extends AutoCloseable {
    /** Where VMs are found. */
    interface Vms {
        /** Connects to the QEMU in a pod: SocketMissing, NotQEMU, QMPTimeout. */
        Vm connect(String podUID) throws TorporException;

        /** Tells whether a pod's launcher says that it has read all of the image ahead; the pod may say what it likes. */
        boolean saysAllIsRead(String podUID);

        /** Tells whether a pod's launcher waits to be told how to start: no QEMU runs in its container then. */
        boolean isAsking(String podUID);

        /** Tells whether that very process still is there. */
        boolean isAlive(ProcessIdentity process) throws IOException;
    }

    ProcessIdentity process();

    VmFacts probe() throws TorporException;

    /** How long it may be paused; empty if nobody minds. */
    Optional<PauseBudget> pauseBudget();

    /** How much of its memory is there at all; empty if that cannot be seen. */
    OptionalLong residentBytes();

    List<String> blockedReasons() throws TorporException;

    RunState runState() throws TorporException;

    void pause() throws TorporException;

    void resume() throws TorporException;

    void quit() throws TorporException;

    void pressPowerButton() throws TorporException;

    void announce() throws TorporException;

    /**
     * Begins a conversation with the agent in the guest.
     *
     * @param deadline for all of it
     * @return empty if the VM has no channel to one; for the caller to close
     * @throws GuestAgentException if it has, and nobody answers
     */
    Optional<GuestAgentClient> guestAgent(Duration deadline) throws GuestAgentException;

    /**
     * What it has open to write to.
     *
     * @param claims of its pod
     */
    List<VmDisks.DiskFile> disks(List<VmDisks.Claim> claims) throws TorporException;

    /** Has it take its disks for itself: DiskLocked if it cannot. */
    void activateDisks() throws TorporException;

    SaveReport save(SavePlan plan, ImageFiles files, Cancellation cancellation, ProgressListener listener)
            throws TorporException;

    /** Probes it for a resume from an image, which is a file of this path for it. */
    ResumeTarget target(ImageLayout layout, String path) throws TorporException;

    /** Compares samples of the image with the guest's mapped memory. */
    void compare(ResumeTarget target, MappedMemory.Samples samples) throws TorporException;

    /** Feeds it an image; {@link #settle} takes back what that needed, when there is time. */
    LoadReport load(
            VmFacts target,
            CommittedImage image,
            ImageFiles files,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException;

    /** Feeds it the shadow of an image that it has mapped; otherwise like {@link #load}. */
    void loadShadow(ResumeTarget target, ImageFiles shadow, Cancellation cancellation) throws TorporException;

    void settle() throws TorporException;

    /** From now on waits for all its answers no longer than for those of a QEMU that was hung up on in its load; it is told things all the same. */
    void hasten();

    @Override
    void close();
}
