package dev.torpor.agent.launch;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ProcessIdentity;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What this node knows of a VM.
 *
 * @param runs how often the VM ran here: cold boots, and resumes that were handed over. An image with a lower number
 *     belongs to disks that have moved on
 * @param lastRun the last start that was answered; present means that the VM's last run on this node is known
 * @param retiredPods UIDs of pods whose VM was saved for good, or is shut down for a drain: they do not start it again; newest
 *     last
 * @param waiting the image that the next pod of this VM is fed
 * @param handedOver the last process that an image was given to
 */
public record VmRecord(
        long runs,
        Optional<LastRun> lastRun,
        List<String> retiredPods,
        Optional<Waiting> waiting,
        Optional<HandOver> handedOver) {
    // A pod's UID is remembered long after the pod; what is dropped here was retired hundreds of saves ago.
    private static final int RETIRED_MAX = 256;

    /** Nothing is known. */
    public static final VmRecord NONE =
            new VmRecord(0, Optional.empty(), List.of(), Optional.empty(), Optional.empty());

    /**
     * A start that was answered.
     *
     * @param podUID pod that asked
     * @param askID its ask: the same one is answered the same way again
     * @param kind how it was told to start
     * @param restoreUID VMRestore that it was started for, if it is to be fed an image
     * @param time when
     * @param resume how it was told to be fed, if it was
     */
    public record LastRun(
            String podUID,
            String askID,
            StartKind kind,
            Optional<String> restoreUID,
            Instant time,
            Optional<Resume> resume) {}

    /**
     * How a start was told to be fed.
     *
     * @param lazy its memory is mapped from the image
     * @param lazyFailed mapping it was tried for this restore, and came to nothing
     * @param why why its memory is not mapped although it might have been, in words
     */
    public record Resume(boolean lazy, boolean lazyFailed, Optional<String> why) {
        /** Memory is mapped. */
        public static final Resume LAZY = new Resume(true, false, Optional.empty());

        /** All memory is loaded, as was asked for. */
        public static final Resume EAGER = new Resume(false, false, Optional.empty());

        /** All memory is loaded, and this is why. */
        public static Resume eager(boolean lazyFailed, String why) {
            return new Resume(false, lazyFailed, Optional.of(why));
        }
    }

    /**
     * An image that waits for a process.
     *
     * @param restoreUID VMRestore that asked for it
     * @param image which image; its UID is the snapshot's
     */
    public record Waiting(String restoreUID, ImageId image) {}

    /**
     * An image given to a process.
     *
     * @param restoreUID VMRestore that asked for it
     * @param image which image
     * @param process who has it
     * @param damage what was found wrong with that process's memory, which came from the image; it is not let run, and not
     *     saved, as a new image of wrong memory would look whole
     */
    public record HandOver(String restoreUID, ImageId image, ProcessIdentity process, Optional<String> damage) {
        public HandOver(String restoreUID, ImageId image, ProcessIdentity process) {
            this(restoreUID, image, process, Optional.empty());
        }
    }

    public VmRecord {
        retiredPods = List.copyOf(retiredPods);
    }

    /** A cold start was answered; the same ask counts once. */
    public VmRecord booted(String podUID, String askID, Instant time) {
        boolean again = lastRun.filter(last -> last.askID().equals(askID) && last.kind() == StartKind.BOOT)
                .isPresent();
        return again
                ? this
                : new VmRecord(
                        runs + 1,
                        Optional.of(
                                new LastRun(podUID, askID, StartKind.BOOT, Optional.empty(), time, Optional.empty())),
                        retiredPods,
                        waiting,
                        handedOver);
    }

    /** A start was answered that waits to be fed; it counts as a run only once it is handed the image. */
    public VmRecord incoming(String podUID, String askID, String restoreUID, Resume resume, Instant time) {
        boolean again = lastRun.filter(last -> last.askID().equals(askID)).isPresent();
        return again
                ? this
                : with(new LastRun(
                        podUID, askID, StartKind.RESUME, Optional.of(restoreUID), time, Optional.of(resume)));
    }

    /** Returns how the last start was told to be fed, if that was for this restore. */
    public Optional<Resume> resumeFor(String restoreUID) {
        return lastRun.filter(last -> last.restoreUID().equals(Optional.of(restoreUID)))
                .flatMap(LastRun::resume);
    }

    /** The last start was told to map the image, and came to nothing. */
    public VmRecord lazyFailed(String restoreUID, String why) {
        return resumeFor(restoreUID).filter(Resume::lazy).isPresent() ? resumed(Resume.eager(true, why)) : this;
    }

    /** The last start came to nothing through no fault of its own: the next one is told afresh. */
    public VmRecord spent(String restoreUID) {
        return resumeFor(restoreUID).filter(Resume::lazy).isPresent() ? resumed(Resume.EAGER) : this;
    }

    private VmRecord resumed(Resume resume) {
        LastRun last = lastRun.orElseThrow();
        return with(new LastRun(
                last.podUID(), last.askID(), last.kind(), last.restoreUID(), last.time(), Optional.of(resume)));
    }

    private VmRecord with(LastRun run) {
        return new VmRecord(runs, Optional.of(run), retiredPods, waiting, handedOver);
    }

    /** The VM of a pod was saved for good, or is shut down. */
    public VmRecord retired(String podUID) {
        if (retiredPods.contains(podUID)) {
            return this;
        }
        List<String> all = new ArrayList<>(retiredPods);
        all.add(podUID);
        List<String> kept = all.subList(Math.max(0, all.size() - RETIRED_MAX), all.size());
        return new VmRecord(runs, lastRun, kept, waiting, handedOver);
    }

    /** A pod's VM goes on after all: before anybody was told that it was saved, or as nobody wants it shut down any more. */
    public VmRecord notRetired(String podUID) {
        List<String> left =
                retiredPods.stream().filter(uid -> !uid.equals(podUID)).toList();
        return new VmRecord(runs, lastRun, left, waiting, handedOver);
    }

    /** An image waits. */
    public VmRecord waitingFor(Waiting image) {
        return new VmRecord(runs, lastRun, retiredPods, Optional.of(image), handedOver);
    }

    /** A restore is over: its image waits no more. Another restore's goes on waiting. */
    public VmRecord notWaitingFor(String restoreUID) {
        return waiting.filter(w -> w.restoreUID().equals(restoreUID)).isPresent()
                ? new VmRecord(runs, lastRun, retiredPods, Optional.empty(), handedOver)
                : this;
    }

    /** The memory that a restore gave to a process turned out to be wrong. */
    public VmRecord damaged(String restoreUID, String why) {
        return handedOver.filter(h -> h.restoreUID().equals(restoreUID)).isEmpty()
                ? this
                : new VmRecord(
                        runs,
                        lastRun,
                        retiredPods,
                        waiting,
                        handedOver.map(h -> new HandOver(h.restoreUID(), h.image(), h.process(), Optional.of(why))));
    }

    /** Returns what is wrong with a process's memory, if that is known. */
    public Optional<String> damageOf(ProcessIdentity process) {
        return handedOver.filter(h -> h.process().equals(process)).flatMap(HandOver::damage);
    }

    /** The waiting image was given to a process: the VM runs again. */
    public VmRecord handedOver(HandOver to) {
        boolean again = handedOver
                .map(h -> new HandOver(h.restoreUID(), h.image(), h.process()))
                .equals(Optional.of(to));
        return again ? this : new VmRecord(runs + 1, lastRun, retiredPods, Optional.empty(), Optional.of(to));
    }
}
