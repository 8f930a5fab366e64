package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.GuestStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The QEMU that a save is or was made of, after it is not saved any more, or that an image was given to. */
final class Source {
    private static final Logger LOG = LoggerFactory.getLogger(Source.class);
    private static final Set<String> NEEDS_RESET = Set.of("internal-error", "guest-panicked", "shutdown");

    private final Node node;

    Source(Node node) {
        this.node = node;
    }

    /**
     * Leaves the VM as it was before a save that was begun, and no file. A VM that was saved since stays as that left it.
     *
     * @param vm the VM
     * @param name of the save, for people
     * @return false if that did not work yet, and is to be tried again
     */
    boolean undo(VmName vm, String name, PartialImage partial) throws TorporException {
        try {
            if (!isSavedSince(vm, partial.intent())) {
                carryOn(vm, name, partial.intent(), this::isDamaged, true);
            }
        } catch (TorporException e) {
            // Not noted as the save's trouble: that is what it is undone for.
            LOG.warn("{}: undoing the begun save: {}: {}", name, e.reason(), e.getMessage());
            return false;
        }
        partial.abandon();
        LOG.info("{}: the begun save is undone", name);
        return true;
    }

    private boolean isSavedSince(VmName vm, PartialIntent begun) throws TorporException {
        return begun.source().isPresent()
                && waits(begun.source().get(), imagesOf(vm, begun.source().get()));
    }

    /**
     * Tells whether an image waits that was made of this process: its guest must not run on over that.
     *
     * @param but the image that does not count
     * @throws TorporException with {@link FailureReason#VMBusy} if one is being made
     */
    private boolean isSaved(VmName vm, ProcessIdentity process, Optional<ImageId> but) throws TorporException {
        List<ImageRecord> images = imagesOf(vm, process).stream()
                .filter(record -> !Optional.of(record.id()).equals(but))
                .toList();
        if (images.stream().anyMatch(record -> record.state() instanceof ImageState.Partial)) {
            throw new TorporException(
                    FailureReason.VMBusy, "the VM is being saved again: what is left to do for it is done after that");
        }
        return waits(process, images);
    }

    /** Tells the same of a process that an image was given to. */
    boolean isSaved(VmName vm, ProcessIdentity process) throws TorporException {
        return isSaved(vm, process, Optional.empty());
    }

    /** One whose record cannot be read is not known to be of that process, and holds up nobody else. */
    private List<ImageRecord> imagesOf(VmName vm, ProcessIdentity process) throws TorporException {
        return node.store().readable(vm.namespace(), vm.name()).stream()
                .filter(record -> record.intent().source().equals(Optional.of(process)))
                .toList();
    }

    private static boolean waits(ProcessIdentity process, List<ImageRecord> images) {
        return images.stream().anyMatch(image -> image.stoppedForGood(process.podUID()));
    }

    /**
     * Has the guest go on after a save that failed, before anything is asked of the store: its disk may be the reason, and may not
     * answer for long. What this cannot do is left to {@link #undo}.
     */
    void carryOnAtOnce(VmName vm, String name, SaveRun run, TorporException why) {
        Optional<PartialIntent> intent = run.pausedInVain();
        if (intent.isEmpty()
                || why.reason() == FailureReason.AgentRestarted
                // Stopped on purpose.
                || why.reason() == FailureReason.ImageDamaged) {
            return;
        }
        carryOnAtOnce(vm, name, intent.get());
    }

    /** The same when what failed says nothing of the store or the VM. */
    void carryOnAtOnce(VmName vm, String name, SaveRun run) {
        run.pausedInVain().ifPresent(intent -> carryOnAtOnce(vm, name, intent));
    }

    private void carryOnAtOnce(VmName vm, String name, PartialIntent intent) {
        try {
            carryOn(vm, name, intent, this::isKnownDamaged, true);
        } catch (TorporException e) {
            LOG.debug("{}: the guest goes on when the save is undone", name, e);
        }
    }

    /** As far as the journal can be read: that it could be, and what it said, was seen before the guest was paused. */
    private boolean isKnownDamaged(VmName vm, ProcessIdentity process) {
        try {
            return isDamaged(vm, process);
        } catch (TorporException e) {
            LOG.debug("VM {}: its journal", vm, e);
            return false;
        }
    }

    private boolean isDamaged(VmName vm, ProcessIdentity process) throws TorporException {
        return node.journal().read(vm).damageOf(process).isPresent();
    }

    private interface Hold {
        boolean holds(VmName vm, ProcessIdentity process) throws TorporException;
    }

    /**
     * Has the guest go on as it did before it was paused for an image, if its process still is there. It may have gone on long ago
     * and been saved since: then it stays as that left it.
     */
    void carryOn(VmName vmName, String name, ImageId image, PartialIntent intent) throws TorporException {
        Hold hold = (vm, process) -> isDamaged(vm, process) || isSaved(vm, process, Optional.of(image));
        carryOn(vmName, name, intent, hold, false);
    }

    /**
     * The same.
     *
     * @param inVain whether the save came to nothing, so that no image says what its guest was when it was paused
     */
    private void carryOn(VmName vmName, String name, PartialIntent intent, Hold hold, boolean inVain)
            throws TorporException {
        Optional<ProcessIdentity> source = intent.source();
        if (source.isEmpty() || !isAlive(source.get())) {
            LOG.warn("{}: the QEMU that was saved has ended", name);
            return;
        }
        try (Vm vm = node.vms().connect(source.get().podUID())) {
            if (vm.process().equals(source.get())) {
                Optional<TorporException> unsettled = settle(vm, inVain);
                // In this order: a save's record is there before its guest is paused.
                if (intent.wasRunning() && !vm.runState().running() && !hold.holds(vmName, source.get())) {
                    vm.resume();
                }
                if (intent.frozen()) {
                    GuestCare.thaw(vm);
                }
                node.readiness().changed(source.get().podUID());
                if (unsettled.isPresent()) {
                    throw unsettled.get();
                }
            }
        } catch (TorporException e) {
            if (isAlive(source.get())) {
                throw e;
            }
            LOG.warn("{}: the QEMU that was saved has ended", name, e);
        }
    }

    /** Returns why it cannot be settled, if the guest need not wait for that: QEMU may be long in cleaning up after a save. */
    private static Optional<TorporException> settle(Vm vm, boolean inVain) throws TorporException {
        try {
            vm.settle();
            return Optional.empty();
        } catch (TorporException e) {
            if (!inVain || e.reason() != FailureReason.QMPTimeout) {
                throw e;
            }
            return Optional.of(e);
        }
    }

    /**
     * Lets the guest run that was given an image, if it is to, does not yet and was not saved since, and takes back what feeding it
     * needed.
     *
     * @param vmName its VM
     * @param frozen whether its file systems may have been frozen when it was saved
     * @return what came of waking it; empty if there was nobody to ask
     */
    Optional<GuestStatus> letRun(VmName vmName, ProcessIdentity process, boolean runs, boolean frozen)
            throws TorporException {
        Optional<GuestStatus> guest = Optional.empty();
        try (Vm vm = node.vms().connect(process.podUID())) {
            if (!vm.process().equals(process)) {
                return guest; // it ended since; the next one boots
            }
            if (runs && !vm.runState().running()) {
                // In this order: a save's record is there before its guest is paused.
                if (isSaved(vmName, process)) {
                    LOG.info("VM {}: it was saved since it was resumed, and stays paused", vmName);
                    return guest;
                }
                vm.resume();
            }
            if (runs) {
                // Also if an earlier agent let the guest go on: it may have died before these.
                GuestCare.announce(vm);
                guest = GuestCare.wake(vm, node.clock(), frozen);
            }
            takeBack(vm);
        } catch (TorporException e) {
            if (isAlive(process)) {
                throw e;
            }
            LOG.warn("the QEMU that was given an image has ended", e);
        }
        return guest;
    }

    /**
     * Tells whether a guest that does not run may be let run later, by its state. One that waits for its disk ({@code io-error}) may;
     * what has crashed or shut down runs only after a reset, for which it would have to be told (RunState of qapi/run-state.json).
     */
    boolean mayGoOn(ProcessIdentity process) {
        try (Vm vm = node.vms().connect(process.podUID())) {
            return vm.process().equals(process)
                    && !NEEDS_RESET.contains(vm.runState().status());
        } catch (TorporException e) {
            LOG.debug("the state of {}", process, e);
            return false; // something else answers there
        }
    }

    /** What feeding it needed. A QEMU that will not have it keeps its settings, which hold up no guest. */
    private static void takeBack(Vm vm) throws TorporException {
        try {
            vm.settle();
        } catch (TorporException e) {
            if (!Trouble.of(e).isFinal()) {
                throw e;
            }
            LOG.warn("the settings of a load are left as they are: {}", e.getMessage());
        }
    }

    /** Tells whether that very process still is there. */
    boolean isAlive(ProcessIdentity process) throws TorporException {
        try {
            return node.vms().isAlive(process);
        } catch (IOException e) {
            throw new TorporException(FailureReason.Internal, "cannot tell which processes run", e);
        }
    }
}
