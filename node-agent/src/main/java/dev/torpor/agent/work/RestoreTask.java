package dev.torpor.agent.work;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.DisksPolicy;
import dev.torpor.api.v1alpha1.GuestStatus;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks at one VMRestore: observes, decides ({@link RestoreDecision}), acts, says. */
final class RestoreTask implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(RestoreTask.class);
    // While the pod starts: the guest is down, so its owner counts every bit of it.
    private static final Duration START_POLL = Duration.ofMillis(100);

    private static final Duration READ_AHEAD_POLL = Duration.ofSeconds(1);
    // A launcher that is not done by then has been held up, or is not ours; nothing but a figure is missing.
    private static final Duration READ_AHEAD_MAX = Duration.ofMinutes(30);

    private final Node node;
    private final MemoryChecks memory;
    private final Source source;
    // What only this process knows; after a restart the records on disk are enough.
    private final Map<String, Trouble> troubles = new ConcurrentHashMap<>();
    private final Map<String, LoadRun.Outcome.HandedOver> loads = new ConcurrentHashMap<>();
    private final Map<String, GuestStatus> guests = new ConcurrentHashMap<>();

    RestoreTask(Node node) {
        this.node = node;
        this.memory = new MemoryChecks(node);
        this.source = new Source(node);
    }

    @Override
    public void close() {
        memory.close();
    }

    /** Forgets a restore that is gone. */
    void gone(String restoreUID) {
        forget(restoreUID);
        memory.forget(restoreUID);
    }

    private void forget(String restoreUID) {
        troubles.remove(restoreUID);
        loads.remove(restoreUID);
        guests.remove(restoreUID);
    }

    /** Returns how much of restores is kept in memory. */
    int remembered() {
        return troubles.size() + loads.size() + guests.size() + memory.remembered();
    }

    /** A launcher that asks how to start for this restore cannot be answered; the restore is to be looked at next. */
    void refuse(String restoreUID, Trouble trouble) {
        troubles.put(restoreUID, trouble);
    }

    Next look(WorkItem.Restore item) {
        Optional<RestoreView> seen =
                node.cluster().restore(item.namespace(), item.name()).flatMap(RestoreView::of);
        if (seen.isEmpty()) {
            return Next.onChange();
        }
        RestoreView restore = seen.get();
        try (LogScope _ = LogScope.uid(restore.uid())) {
            return look(item, restore);
        }
    }

    private Next look(WorkItem.Restore item, RestoreView restore) {
        try {
            return act(item, restore, RestoreDecision.of(observe(restore)));
        } catch (ChangedMeanwhileException e) {
            return Next.now();
        } catch (TorporException e) {
            Trouble trouble = Trouble.of(e);
            node.metrics().restoreTrouble(trouble.reason());
            LOG.info("VMRestore {}: {}: {}", restore.name(), trouble.reason(), trouble.message());
            LOG.debug("VMRestore {}", restore.name(), e);
            if (trouble.reason() == FailureReason.AgentRestarted) {
                return Next.backOff();
            }
            if (restore.resumed()) {
                // The guest runs, and perhaps was saved since: that it was resumed is never taken back.
                return Next.backOff();
            }
            troubles.put(restore.uid(), trouble);
            if (trouble.isFinal() && isGivenUp(restore)) {
                return Next.now();
            }
            var _ = say(
                    restore,
                    RestoreStatuses.held(
                            restore.object(),
                            trouble.reason().name(),
                            trouble.message(),
                            node.clock().instant()));
            return Next.backOff();
        }
    }

    /** Returns the image's record; one that cannot be read is this restore's trouble, unless it is handed over already. */
    private Optional<ImageRecord> record(RestoreView restore) throws TorporException {
        try {
            return node.store().record(restore.image());
        } catch (TorporException e) {
            if (!e.reason().isOfImage()) {
                throw e;
            }
            troubles.put(restore.uid(), Trouble.of(e));
            return Optional.empty();
        }
    }

    /** Tells whether the next look says that it failed; what was handed over is finished instead, whatever is in the way. */
    private boolean isGivenUp(RestoreView restore) {
        try {
            return RestoreDecision.of(observe(restore)) instanceof RestoreDecision.GiveUp;
        } catch (TorporException e) {
            LOG.debug("VMRestore {}: what is next", restore.name(), e);
            return false;
        }
    }

    private RestoreDecision.Facts observe(RestoreView restore) throws TorporException {
        Optional<ImageRecord> record = record(restore);
        return new RestoreDecision.Facts(
                restore,
                record,
                node.journal().read(restore.vm()),
                Optional.ofNullable(troubles.get(restore.uid())),
                !node.clock().instant().isBefore(restore.deadline()));
    }

    private Next act(WorkItem.Restore item, RestoreView restore, RestoreDecision decision) throws TorporException {
        LOG.debug("VMRestore {}: {}", restore.name(), decision.getClass().getSimpleName());
        return switch (decision) {
            case RestoreDecision.Rest _ when restore.resumed() -> lookAtMemory(item, restore);
            case RestoreDecision.Rest _
            when restore.failed() || restore.givenUp() -> {
                forget(restore.uid());
                yield Next.onChange();
            }
            case RestoreDecision.Rest _ -> untilDeadline(restore);
            case RestoreDecision.Check _ -> check(restore);
            case RestoreDecision.Load(String podUID) -> load(item, restore, podUID);
            case RestoreDecision.Finish(ProcessIdentity process) -> finish(restore, process);
            case RestoreDecision.TidyUp(boolean consume) -> tidyUp(item, restore, consume);
            case RestoreDecision.GiveUp(Trouble why) -> giveUp(restore, why);
        };
    }

    private Next untilDeadline(RestoreView restore) {
        Duration left = Duration.between(node.clock().instant(), restore.deadline());
        return Next.after(left.isNegative() ? Duration.ZERO : left.plusMillis(1));
    }

    private Next check(RestoreView restore) throws TorporException {
        CommittedImage image = node.store().open(restore.image());
        image.requireRestorable();
        requireSameRun(restore, image, node.journal().read(restore.vm()));
        node.step(Step.RESTORE_WAIT, () -> {
            VmRecord.Waiting waiting = new VmRecord.Waiting(restore.uid(), restore.image());
            var _ = node.journal().update(restore.vm(), r -> r.waitingFor(waiting));
        });
        LOG.info("VMRestore {}: the image is checked and waits for its pod", restore.name());
        return say(
                restore, RestoreStatuses.checked(restore.object(), node.clock().instant()));
    }

    private static void requireSameRun(RestoreView restore, CommittedImage image, VmRecord vm) throws TorporException {
        if (restore.disks() != DisksPolicy.Unchanged) {
            return;
        }
        long ofImage = image.header().runNumber();
        if (vm.runs() > ofImage || image.header().mode() == ImageMode.CHECKPOINT) {
            throw new TorporException(
                    FailureReason.VMRanSince,
                    "the VM has run since the image was made (the image is of run " + ofImage + ", the last one was "
                            + vm.runs()
                            + "), so its disks may have moved on: put the disks back and say disks: Restored,"
                            + " or say disks: Ephemeral");
        }
    }

    private Next load(WorkItem.Restore item, RestoreView restore, String podUID) throws TorporException {
        if (!node.underWay().begin(item)) {
            LOG.info("VMRestore {}: left to the next agent, as this one ends", restore.name());
            return Next.onChange();
        }
        ObjectName pod = restore.pod().orElseThrow();
        LoadRun.Outcome outcome;
        try {
            outcome = new LoadRun(node, restore).run(podUID);
        } catch (TorporException e) {
            if (e.reason() != FailureReason.SocketMissing) {
                throw e;
            }
            // Its QEMU is not up yet: a pod takes a while to start.
            String name = pod.name() == null ? "" : pod.name();
            if (!node.cluster().podIsLive(restore.image().namespace(), name, podUID)) {
                throw new TorporException(
                        FailureReason.PodGone,
                        "pod " + name + " ended before it was fed: see why, and restore again",
                        e);
            }
            troubles.put(restore.uid(), Trouble.of(e));
            return Next.after(START_POLL);
        }
        return switch (outcome) {
            case LoadRun.Outcome.Spent _ -> Next.after(START_POLL);
            case LoadRun.Outcome.HandedOver load -> {
                loads.put(restore.uid(), load);
                yield Next.now(); // the record says HandedOver now: that is finished next, as after a restart
            }
        };
    }

    private Next finish(RestoreView restore, ProcessIdentity process) throws TorporException {
        Optional<ImageRecord> record = record(restore);
        if (record.isPresent() && record.get().state() instanceof ImageState.HandedOver) {
            VmRecord.HandOver to = new VmRecord.HandOver(restore.uid(), restore.image(), process);
            var _ = node.journal().update(restore.vm(), r -> r.handedOver(to));
        }
        boolean ranBefore = record.map(r -> r.intent().wasRunning()).orElse(true);
        boolean runs = restore.runs(ranBefore);
        String[] said = {"Running", "the guest runs"};
        if (!runs) {
            said = new String[] {"Paused", "the guest is paused, as it was asked for or as its owner had it"};
        }
        if (source.isAlive(process)) {
            try {
                node.step(Step.RESTORE_CONTINUE, () -> source.letRun(
                                restore.vm(),
                                process,
                                runs,
                                record.filter(r -> r.intent().frozen()).isPresent())
                        .ifPresent(guest -> guests.put(restore.uid(), guest)));
                node.readiness().changed(process.podUID());
                if (runs && source.isSaved(restore.vm(), process)) {
                    said = new String[] {"SavedSince", "the guest was given its memory, and was saved since"};
                }
            } catch (TorporException e) {
                Trouble trouble = Trouble.of(e);
                if (!trouble.isFinal() || trouble.reason() == FailureReason.QEMUGone || source.mayGoOn(process)) {
                    throw e; // passes, or it has ended at the next look
                }
                said = new String[] {"NotContinued", notContinued(restore, trouble)};
            }
        } else {
            said = new String[] {"Ended", "the guest was given its memory, and its QEMU has ended since"};
        }
        endLoan(restore);
        return publish(restore, said[0], said[1]);
    }

    private static String notContinued(RestoreView restore, Trouble why) {
        String pod = restore.pod().map(ObjectName::name).orElse("its pod");
        return "the guest was given its memory, and could not be let run: " + why.sentence()
                + " This is not tried again. See its QEMU's log; delete pod " + pod + " to boot the VM from its disks.";
    }

    /** Makes the image private again; the guest, which has it mapped or does without, must not wait for that. */
    private void endLoan(RestoreView restore) {
        try {
            node.store().endLoan(restore.image());
        } catch (TorporException e) {
            LOG.warn("VMRestore {}: its image stays readable in the VM's pods", restore.name(), e);
        }
    }

    private Next publish(RestoreView restore, String reason, String message) {
        Optional<LoadRun.Outcome.HandedOver> load = Optional.ofNullable(loads.get(restore.uid()));
        node.hook().before(Step.RESTORE_PUBLISH);
        Next next = say(
                restore,
                RestoreStatuses.resumed(
                        restore.object(),
                        reason,
                        message,
                        load,
                        Optional.ofNullable(guests.get(restore.uid())),
                        node.clock().instant()));
        node.hook().after(Step.RESTORE_PUBLISH);
        LOG.info("VMRestore {}: {}", restore.name(), message);
        if (next instanceof Next.OnChange) {
            node.metrics().restoreEnded(Outcome.DONE, Optional.empty());
            return Next.now(); // to tidy up
        }
        return next;
    }

    private Next tidyUp(WorkItem.Restore item, RestoreView restore, boolean consume) throws TorporException {
        if (restore.resumed()) {
            var _ = verdict(item, restore); // while the image has a name
        }
        var _ = node.journal().update(restore.vm(), r -> r.notWaitingFor(restore.uid()));
        if (consume) {
            node.step(Step.RESTORE_CONSUME, () -> node.store().transition(restore.image(), new ImageState.Consumed()));
        }
        forget(restore.uid());
        lookAtImage(restore);
        return restore.resumed() ? lookAtMemory(item, restore) : Next.onChange();
    }

    /** Has the guest's memory compared; empty if it has no QEMU any more. */
    private Optional<MemoryChecks.Verdict> verdict(WorkItem.Restore item, RestoreView restore) throws TorporException {
        Optional<VmRecord.HandOver> to = node.journal()
                .read(restore.vm())
                .handedOver()
                .filter(h -> h.restoreUID().equals(restore.uid()));
        if (to.isEmpty() || !source.isAlive(to.get().process())) {
            memory.forget(restore.uid());
            return Optional.empty();
        }
        boolean lazy =
                RestoreStrategy.Lazy.name().equals(restore.object().getStatus().getStrategy());
        MemoryChecks.Guest guest = new MemoryChecks.Guest(
                restore.uid(), item, restore.image(), to.get().process(), lazy);
        return Optional.of(
                to.get().damage().isPresent()
                        ? memory.damaged(guest, to.get().damage().get())
                        : memory.look(guest));
    }

    /** After a resume: says in status when all memory is there, and when it was compared. */
    private Next lookAtMemory(WorkItem.Restore item, RestoreView restore) throws TorporException {
        VMRestoreStatus status = restore.object().getStatus();
        if (Conditions.find(status.getConditions(), ConditionType.VERIFIED).isPresent()) {
            memory.forget(restore.uid());
            return lookForAllMemory(restore);
        }
        Optional<MemoryChecks.Verdict> verdict = verdict(item, restore);
        if (verdict.isEmpty() || verdict.get() instanceof MemoryChecks.Verdict.Pending) {
            return lookForAllMemory(restore);
        }
        Instant now = node.clock().instant();
        VMRestoreStatus own =
                switch (verdict.get()) {
                    case MemoryChecks.Verdict.Sound _ ->
                        RestoreStatuses.compared(restore.object(), sinceItRan(status), now);
                    case MemoryChecks.Verdict.Damaged(String why) -> {
                        node.store().recordDamage(restore.image(), why);
                        yield RestoreStatuses.damaged(restore.object(), damage(restore, why), now);
                    }
                    case MemoryChecks.Verdict.Unknown(String why) ->
                        RestoreStatuses.notCompared(restore.object(), why, now);
                    case MemoryChecks.Verdict.Pending _ -> throw new IllegalStateException();
                };
        Next said = say(restore, own);
        if (said instanceof Next.OnChange && verdict.get() instanceof MemoryChecks.Verdict.Damaged) {
            lookAtImage(restore);
        }
        return said instanceof Next.OnChange ? Next.now() : said;
    }

    private static String damage(RestoreView restore, String why) {
        String pod = restore.pod().map(ObjectName::name).orElse("its pod");
        return "VMRestore " + restore.name() + ": " + why
                + ". The guest ran from this memory and was stopped, so that it"
                + " does no more harm; its disks are as it left them. Nothing boots it by itself: delete pod " + pod
                + " to boot the VM from its disks, and have them checked, or restore another snapshot.";
    }

    private Duration sinceItRan(VMRestoreStatus status) {
        String ran = status.getCompletionTime();
        Instant now = node.clock().instant();
        return Duration.between(ran == null ? now : Instant.parse(ran), now);
    }

    /** After a lazy resume: says in status when all memory has been read, as the pod's launcher sees to. */
    private Next lookForAllMemory(RestoreView restore) throws TorporException {
        VMRestoreStatus status = restore.object().getStatus();
        if (!RestoreStrategy.Lazy.name().equals(status.getStrategy())
                || status.getResidentSeconds() != null
                || status.getCompletionTime() == null
                || restore.givenUp()) {
            return Next.onChange();
        }
        Duration since = Duration.between(
                Instant.parse(status.getCompletionTime()), node.clock().instant());
        Optional<VmRecord.HandOver> to = node.journal()
                .read(restore.vm())
                .handedOver()
                .filter(h -> h.restoreUID().equals(restore.uid()));
        if (since.compareTo(READ_AHEAD_MAX) > 0
                || to.isEmpty()
                || !source.isAlive(to.get().process())) {
            return Next.onChange();
        }
        if (!node.vms().saysAllIsRead(to.get().process().podUID())) {
            return Next.after(READ_AHEAD_POLL);
        }
        LOG.info("VMRestore {}: all of the VM's memory has been read", restore.name());
        return say(restore, RestoreStatuses.resident(restore.object(), since));
    }

    /** Has the snapshot say what became of its image. */
    private void lookAtImage(RestoreView restore) {
        node.wake()
                .accept(new WorkItem.Snapshot(
                        restore.image().namespace(), restore.object().getSpec().snapshotName()));
    }

    private Next giveUp(RestoreView restore, Trouble why) throws TorporException {
        endWhatWaits(restore, why);
        endLoan(restore);
        var _ = node.journal().update(restore.vm(), r -> r.notWaitingFor(restore.uid()));
        String message = "VMRestore " + restore.name() + ": " + why.sentence() + " " + stateOfImage(why);
        LOG.error("{}", message);
        if (why.reason().isOfImage()) {
            lookAtImage(restore);
        }
        Next next = say(
                restore,
                RestoreStatuses.failed(
                        restore.object(),
                        why.reason().name(),
                        message,
                        node.clock().instant()));
        if (next instanceof Next.OnChange) {
            boolean cancelled = why.reason().kind() == FailureReason.Kind.CANCELLED;
            node.metrics().restoreEnded(cancelled ? Outcome.CANCELLED : Outcome.FAILED, Optional.of(why.reason()));
            forget(restore.uid());
        }
        return next;
    }

    private void endWhatWaits(RestoreView restore, Trouble why) {
        Optional<String> podUID = restore.pod().map(ObjectName::uid);
        if (podUID.isEmpty()) {
            return;
        }
        try (Vm vm = node.vms().connect(podUID.get())) {
            if (why.reason().isOfImage()) {
                vm.hasten();
            }
            if (!vm.runState().running()) {
                vm.quit();
            }
        } catch (TorporException e) {
            LOG.debug("VMRestore {}: nothing to end", restore.name(), e);
        }
    }

    private static String stateOfImage(Trouble why) {
        return why.reason().isOfImage() ? "The image cannot be restored." : "The image is safe.";
    }

    private Next say(RestoreView restore, VMRestoreStatus own) {
        return switch (node.status().transition(StatusOwner.RESTORE_AGENT, restore.object(), own)) {
            case WriteResult.Unchanged<VMRestore> _, WriteResult.Written<VMRestore> _, WriteResult.Gone<VMRestore> _ ->
                Next.onChange();
            case WriteResult.Stale<VMRestore>(String detail) -> {
                LOG.debug("VMRestore {}: {}", restore.name(), detail);
                yield Next.now();
            }
        };
    }
}
