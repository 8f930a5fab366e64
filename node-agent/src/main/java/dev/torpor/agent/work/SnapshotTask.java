package dev.torpor.agent.work;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.DeletionPolicy;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VerifyPolicy;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.telemetry.log.LogScope;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Future;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Looks at one VMSnapshot: observes, decides ({@link SaveDecision}), acts, says. */
final class SnapshotTask implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SnapshotTask.class);
    /** Whose turn it is is woken; a look costs a request, and hundreds may wait. */
    private static final Duration TURN_POLL = Duration.ofSeconds(2);

    private static final Duration RESTORE_POLL = Duration.ofSeconds(1);
    // An administrator may put a file back; looking costs what a restore's first check costs.
    private static final Duration UNUSABLE_POLL = Duration.ofSeconds(10);
    private static final double NANOS_PER_SECOND = 1e9;

    private final Node node;
    private final SaveWishes wishes;
    private final StoreNews news;
    private final Source source;
    private final LeftBehind leftBehind;
    private final Shutdowns shutdowns;
    private final PageScans scans;
    // What only this process knows; after a restart the records on disk are enough.
    private final Map<String, Trouble> troubles = new ConcurrentHashMap<>();
    private final Map<String, SaveRun.Saved> saves = new ConcurrentHashMap<>();
    /** What was committed here, until the API server is known to have been told. */
    private final Map<WorkItem.Snapshot, Unsaid> unsaid = new ConcurrentHashMap<>();

    private final Set<String> queued = ConcurrentHashMap.newKeySet();
    /** How guests were before they were paused for a save that failed. */
    private final Map<String, PartialIntent> begun = new ConcurrentHashMap<>();

    private final SaveRests rests = new SaveRests();
    /** Whose last look began to save: what that left behind is undone at once. */
    private final Set<String> saving = ConcurrentHashMap.newKeySet();

    /** A committed image, and how the guest was before. */
    private record Unsaid(SnapshotView snapshot, PartialIntent intent) {}

    SnapshotTask(Node node, SaveWishes wishes, StoreNews news) {
        this.node = node;
        this.wishes = wishes;
        this.news = news;
        this.source = new Source(node);
        this.leftBehind = new LeftBehind(node, news);
        this.shutdowns = new Shutdowns(node);
        this.scans = new PageScans(node.store(), node.metrics(), node.underWay()::transferring, this::wake);
    }

    /** Has the object of an image looked at. */
    void wake(ImageId image) {
        node.cluster().snapshotOf(image).ifPresent(object -> node.wake()
                .accept(new WorkItem.Snapshot(
                        object.getMetadata().getNamespace(),
                        object.getMetadata().getName())));
    }

    /** Tells whether an image is to be looked at again from time to time. */
    boolean wantsScrub(ImageId image) {
        return node.cluster()
                .snapshotOf(image)
                .map(SnapshotView::of)
                .filter(this::verifies)
                .isPresent();
    }

    @Override
    public void close() {
        scans.close();
    }

    Next look(WorkItem.Snapshot item) {
        Optional<Unsaid> committed = Optional.ofNullable(unsaid.get(item));
        committed.ifPresent(this::carryOnAtOnce);
        Optional<SnapshotView> snapshot =
                node.cluster().snapshot(item.namespace(), item.name()).map(SnapshotView::of);
        boolean nobodys = committed
                .filter(it -> snapshot.filter(
                                now -> now.image().equals(it.snapshot().image()))
                        .isEmpty())
                .isPresent();
        if (nobodys && !isDisowned(item, committed.get())) {
            return Next.backOff();
        }
        if (snapshot.isEmpty()) {
            return Next.onChange();
        }
        try (LogScope _ = LogScope.uid(snapshot.get().image().uid())) {
            return look(item, snapshot.get());
        }
    }

    /** The object that was to be told of an image is gone, or has another in its place: somebody took its finalizer off. */
    private boolean isDisowned(WorkItem.Snapshot item, Unsaid committed) {
        SnapshotView snapshot = committed.snapshot();
        String uid = snapshot.image().uid();
        try (LogScope _ = LogScope.uid(uid)) {
            leftBehind.disown(snapshot.image(), hasContinued(snapshot));
        } catch (TorporException e) {
            LOG.warn("VMSnapshot {} is gone, and its VM does not go on yet: {}", snapshot.name(), e.getMessage());
            return false;
        }
        unsaid.remove(item);
        saves.remove(uid);
        return true;
    }

    private Next look(WorkItem.Snapshot item, SnapshotView snapshot) {
        String uid = snapshot.image().uid();
        queued.remove(uid);
        saving.remove(uid);
        if (snapshot.saved()) {
            unsaid.remove(item);
            saves.remove(uid);
        }
        try {
            return decide(item, snapshot);
        } catch (ChangedMeanwhileException e) {
            return Next.now();
        } catch (TorporException e) {
            Trouble trouble = Trouble.of(e);
            node.metrics().saveTrouble(trouble.reason());
            LOG.info("VMSnapshot {}: {}: {}", snapshot.name(), trouble.reason(), trouble.message());
            LOG.debug("VMSnapshot {}", snapshot.name(), e);
            if (trouble.reason() != FailureReason.AgentRestarted) {
                troubles.put(uid, trouble);
            }
            try {
                return again(snapshot, trouble, saving.contains(uid));
            } catch (TorporException again) {
                LOG.debug("VMSnapshot {}", snapshot.name(), again);
                return Next.backOff();
            }
        }
    }

    /** Tells whether an object that an informer saw wants its save to end. */
    void seen(VMSnapshot object) {
        if (SnapshotView.of(object).cancel()) {
            wishes.cancelled(SnapshotView.of(object).image().uid());
        }
    }

    private Next decide(WorkItem.Snapshot item, SnapshotView snapshot) throws TorporException {
        boolean here = isHere(snapshot);
        Optional<ImageRecord> record;
        try {
            record = here ? node.store().record(snapshot.image()) : Optional.empty();
        } catch (TorporException e) {
            if (!e.reason().isOfImage()) {
                throw e;
            }
            return unreadable(snapshot, e);
        }
        SaveDecision decision = SaveDecision.of(observe(snapshot, here, record));
        if (!(decision instanceof SaveDecision.Save)) {
            node.saves().forget(snapshot.image().uid());
        }
        return act(item, snapshot, decision);
    }

    /** Its record cannot be read: whatever it said, the image cannot be restored, and holds its VM until it is given up. */
    private Next unreadable(SnapshotView snapshot, TorporException why) throws TorporException {
        boolean waits = snapshot.mode() == ImageMode.MANAGED_SAVE
                && (snapshot.saved() || snapshot.adopts())
                && !snapshot.discard()
                && !ManagedImages.isOver(snapshot.object());
        if (snapshot.deleting() && !waits) {
            if (!snapshot.saved()) {
                String pod = snapshot.podUID().orElse("");
                var _ = node.journal().update(snapshot.vm(), vm -> vm.notRetired(pod));
            }
            return letGo(snapshot, false);
        }
        if (snapshot.failed() || snapshot.imported() || ManagedImages.isOver(snapshot.object())) {
            return Next.onChange();
        }
        if (!snapshot.saved()) {
            throw why;
        }
        return unusable(snapshot, why);
    }

    private SaveDecision.Facts observe(SnapshotView snapshot, boolean here, Optional<ImageRecord> record)
            throws TorporException {
        VmRecord vm = withoutDeadRestore(snapshot);
        boolean waits =
                vm.waiting().filter(w -> w.image().equals(snapshot.image())).isPresent();
        Optional<ProcessIdentity> process = record.map(ImageRecord::state)
                .filter(_ -> snapshot.mode() != ImageMode.CHECKPOINT)
                .filter(ImageState.HandedOver.class::isInstance)
                .map(state -> ((ImageState.HandedOver) state).process());
        List<RestoreView> givers = process.isEmpty() ? List.of() : givers(snapshot, vm, process.get());
        boolean beingHandedOver = process.isPresent() && areFinishing(givers, snapshot, process.get());
        return new SaveDecision.Facts(
                snapshot,
                here,
                record,
                vm.runs(),
                waits || beingHandedOver,
                process.isPresent() && givers.isEmpty(),
                Optional.ofNullable(troubles.get(snapshot.image().uid())),
                !node.clock().instant().isBefore(snapshot.deadline()));
    }

    /** Returns the restore that gave the image to a process, in whatever state it is; empty if it was deleted. */
    private List<RestoreView> givers(SnapshotView snapshot, VmRecord vm, ProcessIdentity process) {
        Optional<String> told = vm.handedOver()
                .filter(to -> to.image().equals(snapshot.image()))
                .map(VmRecord.HandOver::restoreUID);
        return node.cluster().restoresOf(snapshot.vm()).stream()
                .flatMap(object -> RestoreView.of(object).stream())
                .filter(restore -> restore.image().equals(snapshot.image()))
                .filter(restore -> told.equals(Optional.of(restore.uid()))
                        || restore.pod().map(ObjectName::uid).equals(Optional.of(process.podUID())))
                .toList();
    }

    /** Tells whether a restore that is there finishes its hand-over, and so says that the image is gone. */
    private boolean areFinishing(List<RestoreView> givers, SnapshotView snapshot, ProcessIdentity process)
            throws TorporException {
        if (givers.stream().anyMatch(restore -> !restore.resumed())) {
            return true;
        }
        // One that has said so tidies up, and compares the guest's memory with the image before.
        return !givers.isEmpty() && !snapshot.deleting() && source.isAlive(process);
    }

    /**
     * Does what the restore that gave the image away would have done: it was deleted, and perhaps before its guest was let run. If
     * it was to stay paused by the restore's word, that word is gone too.
     */
    private void finishHandOver(SnapshotView snapshot) throws TorporException {
        ImageRecord record = node.store().record(snapshot.image()).orElseThrow();
        if (record.state() instanceof ImageState.HandedOver(ProcessIdentity process) && source.isAlive(process)) {
            // That it runs is known before it does.
            VmRecord vm = node.journal().update(snapshot.vm(), r -> told(r, snapshot.image(), process));
            boolean runs = record.intent().wasRunning() && vm.damageOf(process).isEmpty();
            node.step(Step.RESTORE_CONTINUE, () -> {
                var _ = source.letRun(
                        snapshot.vm(), process, runs, record.intent().frozen());
            });
            node.readiness().changed(process.podUID());
            LOG.info("VMSnapshot {}: its restore is gone, and what it had begun is finished", snapshot.name());
        }
        node.store().endLoan(snapshot.image());
    }

    private static VmRecord told(VmRecord vm, ImageId image, ProcessIdentity process) {
        if (vm.handedOver()
                .filter(to -> to.image().equals(image) && to.process().equals(process))
                .isPresent()) {
            return vm;
        }
        String restoreUID = vm.lastRun().flatMap(VmRecord.LastRun::restoreUID).orElse("");
        return vm.handedOver(new VmRecord.HandOver(restoreUID, image, process));
    }

    /** Forgets a restore that waits for this image and was deleted: nobody else would. */
    private VmRecord withoutDeadRestore(SnapshotView snapshot) throws TorporException {
        VmRecord vm = node.journal().read(snapshot.vm());
        Optional<String> waiting =
                vm.waiting().filter(w -> w.image().equals(snapshot.image())).map(VmRecord.Waiting::restoreUID);
        if (waiting.isEmpty()
                || node.cluster().activeRestores(snapshot.vm()).stream()
                        .anyMatch(restore -> restore.uid().equals(waiting.get()))) {
            return vm;
        }
        return node.journal().update(snapshot.vm(), r -> r.notWaitingFor(waiting.get()));
    }

    private Next act(WorkItem.Snapshot item, SnapshotView snapshot, SaveDecision decision) throws TorporException {
        LOG.debug("VMSnapshot {}: {}", snapshot.name(), decision.getClass().getSimpleName());
        return switch (decision) {
            case SaveDecision.Rest _ -> isHere(snapshot) && snapshot.failed() ? shutDown(snapshot) : Next.onChange();
            case SaveDecision.Save _ -> save(item, snapshot);
            case SaveDecision.Undo _ -> undo(snapshot);
            case SaveDecision.Mirror(ImageState state) -> mirror(item, snapshot, state);
            case SaveDecision.MarkStale _ -> {
                node.store().transition(snapshot.image(), new ImageState.Stale());
                LOG.info("VMSnapshot {}: Complete -> Stale: the VM has run since", snapshot.name());
                yield Next.now();
            }
            case SaveDecision.Consume(boolean orphaned) -> {
                if (orphaned) {
                    finishHandOver(snapshot);
                }
                node.store().transition(snapshot.image(), new ImageState.Consumed());
                LOG.info("VMSnapshot {}: HandedOver -> Consumed: its restore is gone", snapshot.name());
                yield Next.now();
            }
            case SaveDecision.GiveUp(Trouble why) -> giveUp(snapshot, why);
            case SaveDecision.TakeBack(PartialIntent intent) -> takeBack(item, snapshot, intent);
            case SaveDecision.LetGo _ -> letGo(snapshot, true);
            case SaveDecision.StayForRestore _ -> Next.after(RESTORE_POLL);
            case SaveDecision.StayForStart _ -> available(snapshot);
        };
    }

    /** Returns how many saves wait for others of this node. */
    int queued() {
        return queued.size();
    }

    private Next save(WorkItem.Snapshot item, SnapshotView snapshot) throws TorporException {
        Optional<Duration> rest = rests.left(snapshot.image().uid(), System.nanoTime());
        if (rest.isPresent()) {
            Duration untilDeadline = Duration.between(node.clock().instant(), snapshot.deadline());
            return Next.after(rest.get().compareTo(untilDeadline) < 0 ? rest.get() : untilDeadline);
        }
        if (!node.saves().take(snapshot.image().uid(), SaveTurns.bytesOf(snapshot.object()), () -> node.wake()
                .accept(item))) {
            queued.add(snapshot.image().uid());
            var _ = say(
                    snapshot,
                    SnapshotStatuses.held(
                            snapshot.object(),
                            "Queued",
                            "other VMs of this node are being saved first",
                            node.clock().instant()));
            return Next.after(TURN_POLL);
        }
        if (!node.underWay().begin(item)) {
            node.saves().giveBack(snapshot.image().uid());
            LOG.info("VMSnapshot {}: left to the next agent, as this one ends", snapshot.name());
            return Next.onChange();
        }
        String uid = snapshot.image().uid();
        saving.add(uid);
        SaveWishes.Save save = wishes.begin(uid);
        Future<?> deadline = node.endAt(
                snapshot.deadline(),
                save.cancellation(),
                Trouble.deadline(snapshot.deadlineSeconds()).message());
        SaveRun run = new SaveRun(node, new SnapshotOrder(node, snapshot), save.cancellation(), save.pace());
        try {
            LOG.info("VMSnapshot {}: saving", snapshot.name());
            saves.put(uid, run.run(snapshot.podUID().orElseThrow()));
            Unsaid committed = new Unsaid(snapshot, run.begun().orElseThrow());
            unsaid.put(item, committed);
            carryOnAtOnce(committed);
            troubles.remove(uid);
            rests.forget(uid);
            begun.remove(uid);
        } catch (TorporException e) {
            source.carryOnAtOnce(snapshot.vm(), "VMSnapshot " + snapshot.name(), run, e);
            pausedInVain(uid, run);
            throw e;
        } catch (KubernetesClientException | ChangedMeanwhileException e) {
            source.carryOnAtOnce(snapshot.vm(), "VMSnapshot " + snapshot.name(), run);
            pausedInVain(uid, run);
            throw e;
        } finally {
            deadline.cancel(false);
            wishes.end(uid);
            node.saves().giveBack(uid);
        }
        return Next.now(); // the record says Complete now: that is said next, as after a restart
    }

    /** Has the guest of a checkpoint go on without a word of the API server's, which may be away for longer than a guest can bear. */
    private void carryOnAtOnce(Unsaid committed) {
        SnapshotView snapshot = committed.snapshot();
        if (snapshot.mode() != ImageMode.CHECKPOINT || hasContinued(snapshot)) {
            return;
        }
        try {
            carryOn(snapshot, committed.intent());
        } catch (TorporException e) {
            LOG.warn("VMSnapshot {}: its guest is not let run yet: {}", snapshot.name(), e.getMessage());
        }
    }

    /** Tells whether the guest of a checkpoint went on since this process saved it. */
    private boolean hasContinued(SnapshotView snapshot) {
        SaveRun.Saved save = saves.get(snapshot.image().uid());
        return save != null && save.continuedAtNanos().isPresent();
    }

    private void carryOn(SnapshotView snapshot, PartialIntent intent) throws TorporException {
        node.step(
                Step.SAVE_CONTINUE,
                () -> source.carryOn(snapshot.vm(), "VMSnapshot " + snapshot.name(), snapshot.image(), intent));
        saves.computeIfPresent(snapshot.image().uid(), (_, save) -> save.continuedAt(System.nanoTime()));
    }

    /** Whatever it failed of: the guest is let run before it is paused again, and what we did to it is known. */
    private void pausedInVain(String uid, SaveRun run) {
        run.begun().ifPresent(intent -> {
            begun.put(uid, intent);
            rests.pausedInVain(uid, System.nanoTime());
        });
    }

    private Next undo(SnapshotView snapshot) throws TorporException {
        Optional<PartialImage> partial = node.store().partial(snapshot.image());
        try {
            if (partial.isPresent() && !source.undo(snapshot.vm(), "VMSnapshot " + snapshot.name(), partial.get())) {
                return Next.backOff();
            }
        } catch (TorporException e) {
            return undoLater(snapshot, e);
        }
        Optional<Trouble> trouble =
                Optional.ofNullable(troubles.get(snapshot.image().uid()));
        if (trouble.filter(it -> !it.isFinal()).isPresent() && !snapshot.deleting()) {
            hold(
                    snapshot,
                    trouble.get().reason(),
                    trouble.get().sentence() + " " + stateOfVm(snapshot, true) + " It is saved again later.");
        }
        return Next.now();
    }

    /**
     * The VM goes on, and its file cannot be removed (yet), for example because the store went read-only. That hides neither why it
     * failed nor that it did.
     */
    private Next undoLater(SnapshotView snapshot, TorporException why) throws TorporException {
        Trouble trouble = troubles.computeIfAbsent(snapshot.image().uid(), _ -> Trouble.of(why));
        LOG.warn("VMSnapshot {}: what was begun cannot be removed: {}", snapshot.name(), why.getMessage());
        SaveDecision once = SaveDecision.of(observe(snapshot, isHere(snapshot), Optional.empty()));
        if (once instanceof SaveDecision.GiveUp(Trouble end)) {
            var _ = giveUp(snapshot, end);
        } else if (!snapshot.failed()) {
            hold(snapshot, trouble.reason(), trouble.sentence() + " " + stateOfVm(snapshot, true));
        }
        return Next.backOff();
    }

    private Next mirror(WorkItem.Snapshot item, SnapshotView snapshot, ImageState state) throws TorporException {
        return switch (state) {
            case ImageState.Complete _, ImageState.Verified _ ->
                snapshot.saved() ? available(snapshot) : saved(item, snapshot);
            case ImageState.HandedOver _ ->
                switch (snapshot.mode()) {
                    case CHECKPOINT -> snapshot.saved() ? available(snapshot) : Next.onChange();
                    // Its restore finishes that; if that is deleted before, or its process ends, nobody may tell.
                    case SAVE, MANAGED_SAVE -> Next.after(RESTORE_POLL);
                };
            case ImageState.Consumed _ -> {
                // Whoever recorded that may have died before its files went, or the disk refused to remove them.
                node.store().transition(snapshot.image(), state);
                yield image(snapshot, false, "Consumed", "a VMRestore resumed the VM from this image, which is gone");
            }
            case ImageState.Stale _ ->
                image(snapshot, true, "Stale", "the VM has run since: the image no longer belongs to its disks");
            case ImageState.Partial _ ->
                image(snapshot, false, "ImageMissing", "the image is not in the node's store any more");
        };
    }

    /** Says whether the file is what was committed, and goes on looking while it is not. */
    private Next available(SnapshotView snapshot) throws TorporException {
        Optional<ImageState> state;
        try {
            state = node.store().open(snapshot.image()).record().map(ImageRecord::state);
        } catch (TorporException e) {
            if (!e.reason().isOfImage()) {
                throw e;
            }
            return unusable(snapshot, e);
        }
        ImageId id = snapshot.image();
        Optional<String> request = request(snapshot);
        boolean handled = request.isEmpty() || scans.request(id, request.get());
        Optional<String> damage = node.store().damage(id);
        Instant now = node.clock().instant();
        VMSnapshotStatus own;
        if (damage.isPresent()) {
            String message =
                    damage.get() + ". The image cannot be restored. Put its file back and ask for a verification ("
                            + Torpor.VERIFY_ANNOTATION + "), or give it up.";
            own = SnapshotStatuses.damaged(snapshot.object(), FailureReason.ImageDamaged.name(), message, now);
        } else if (state.filter(fresh -> fresh instanceof ImageState.Complete).isPresent()) {
            if (verifies(snapshot)) {
                scans.submit(id);
                own = SnapshotStatuses.image(snapshot.object(), true, "Committed", "lengths and checksums hold", now);
            } else {
                own = SnapshotStatuses.notVerified(snapshot.object(), now);
            }
        } else {
            Optional<Instant> verifiedAt = node.store().verifiedAt(id);
            own = verifiedAt.isPresent()
                    ? SnapshotStatuses.verified(snapshot.object(), verifiedAt.get(), now)
                    : SnapshotStatuses.image(snapshot.object(), true, "Committed", "lengths and checksums hold", now);
        }
        if (handled) {
            request.ifPresent(own::setHandledVerifyRequest);
        }
        return say(snapshot, own);
    }

    private Next unusable(SnapshotView snapshot, TorporException why) {
        scans.forget(snapshot.image()); // a file that is put back is read again
        Next next = image(
                snapshot,
                false,
                why.reason().name(),
                why.getMessage() + ". The image cannot be restored while this is so.");
        return next instanceof Next.OnChange ? Next.after(UNUSABLE_POLL) : next;
    }

    /** What somebody asks to be verified, and was not yet. */
    private static Optional<String> request(SnapshotView snapshot) {
        Map<String, String> annotations = snapshot.object().getMetadata().getAnnotations();
        VMSnapshotStatus status = snapshot.object().getStatus();
        return Optional.ofNullable(annotations == null ? null : annotations.get(Torpor.VERIFY_ANNOTATION))
                .filter(value -> status == null || !value.equals(status.getHandledVerifyRequest()));
    }

    private Next image(SnapshotView snapshot, boolean available, String reason, String message) {
        return say(
                snapshot,
                SnapshotStatuses.image(
                        snapshot.object(),
                        available,
                        reason,
                        message,
                        node.clock().instant()));
    }

    /** Does what comes with a committed image, and says so. */
    private Next saved(WorkItem.Snapshot item, SnapshotView snapshot) throws TorporException {
        CommittedImage image = node.store().open(snapshot.image());
        String pod = snapshot.podUID().orElse("");
        switch (snapshot.mode()) {
            case SAVE, MANAGED_SAVE ->
                node.step(Step.SAVE_RETIRE, () -> {
                    var _ = node.journal().update(snapshot.vm(), vm -> vm.retired(pod));
                });
            case CHECKPOINT -> {
                if (!hasContinued(snapshot)) {
                    carryOn(
                            snapshot,
                            node.store().record(snapshot.image()).orElseThrow().intent());
                }
            }
        }
        Optional<SaveRun.Saved> save =
                Optional.ofNullable(saves.get(snapshot.image().uid()));
        rests.forget(snapshot.image().uid());
        begun.remove(snapshot.image().uid());
        Optional<Duration> paused = save.map(how -> how.paused(System.nanoTime()));
        node.hook().before(Step.SAVE_PUBLISH);
        VMSnapshotStatus own = SnapshotStatuses.saved(
                snapshot.object(),
                image,
                paused.map(time -> OptionalDouble.of(time.toNanos() / NANOS_PER_SECOND))
                        .orElseGet(OptionalDouble::empty),
                save.flatMap(SaveRun.Saved::quiesced),
                node.clock().instant());
        WriteResult<VMSnapshot> told = node.status().transition(StatusOwner.SNAPSHOT_AGENT, snapshot.object(), own);
        node.hook().after(Step.SAVE_PUBLISH);
        if (told instanceof WriteResult.Gone<VMSnapshot>) {
            unsaid.put(item, new Unsaid(snapshot, image.record().orElseThrow().intent()));
            return Next.backOff(); // there is nobody to tell it: the VM goes on, if the next look finds nobody either
        }
        Next next = after(snapshot, told);
        if (next instanceof Next.OnChange) {
            node.metrics().saveEnded(Outcome.DONE, Optional.empty());
            paused.ifPresent(node.metrics()::paused);
            unsaid.remove(item);
            saves.remove(snapshot.image().uid());
        }
        LOG.info("VMSnapshot {}: saved", snapshot.name());
        if (verifies(snapshot)) {
            scans.submit(snapshot.image());
        }
        return next;
    }

    private Next giveUp(SnapshotView snapshot, Trouble why) throws TorporException {
        String message = "VMSnapshot " + snapshot.name() + ": " + why.sentence() + " " + stateOfVm(snapshot, true);
        LOG.error("{}", message);
        Next next = say(
                snapshot,
                SnapshotStatuses.failed(
                        snapshot.object(),
                        why.reason().name(),
                        message,
                        node.clock().instant()));
        if (next instanceof Next.OnChange) {
            // Not before it is said: without it the next look would save again.
            troubles.remove(snapshot.image().uid());
            rests.forget(snapshot.image().uid());
            begun.remove(snapshot.image().uid());
            boolean cancelled = why.reason().kind() == FailureReason.Kind.CANCELLED;
            node.metrics().saveEnded(cancelled ? Outcome.CANCELLED : Outcome.FAILED, Optional.of(why.reason()));
        }
        return next;
    }

    /**
     * Says of the VM what is known.
     *
     * @param undone whether a save that was begun, if one was, is undone by now
     */
    private String stateOfVm(SnapshotView snapshot, boolean undone) {
        if (snapshot.podUID().isEmpty()) {
            return "The VM runs.";
        }
        Optional<PartialIntent> before =
                Optional.ofNullable(begun.get(snapshot.image().uid()));
        boolean ran = before.filter(PartialIntent::wasRunning).isPresent();
        try (Vm vm = node.vms().connect(snapshot.podUID().get())) {
            if (vm.runState().running()) {
                return "The VM runs.";
            }
            if (!ran) {
                return "The VM is paused, as it was before.";
            }
            return undone ? "The VM is paused." : "The VM is paused by this save, until the store answers.";
        } catch (TorporException e) {
            return switch (e.reason()) {
                case SocketMissing, QEMUGone -> "No QEMU of the VM answers: see its pod.";
                default -> unseenState(before, undone);
            };
        }
    }

    private static String unseenState(Optional<PartialIntent> before, boolean undone) {
        if (before.isPresent() && !before.get().wasRunning()) {
            return "The VM is paused, as it was before.";
        }
        // Whatever holds the monitor, we did not stop the guest, or had it go on.
        return before.isEmpty() || undone
                ? "The VM runs."
                : "The VM may be paused by this save, and goes on when its QEMU and the store answer.";
    }

    /** The object was deleted before status said Saved: the VM goes on. */
    private Next takeBack(WorkItem.Snapshot item, SnapshotView snapshot, PartialIntent intent) throws TorporException {
        if (!hasContinued(snapshot)) {
            source.carryOn(snapshot.vm(), "VMSnapshot " + snapshot.name(), snapshot.image(), intent);
        }
        String pod = snapshot.podUID().orElse("");
        var _ = node.journal().update(snapshot.vm(), vm -> vm.notRetired(pod));
        // Last, as it ends the taking back; and even if the file is kept: a fresh image keeps its pod from starting.
        node.store().transition(snapshot.image(), new ImageState.Stale());
        unsaid.remove(item);
        return letGo(snapshot, true);
    }

    private Next letGo(SnapshotView snapshot, boolean readable) throws TorporException {
        boolean here = isHere(snapshot);
        if (here) {
            shutdowns.release(snapshot);
        }
        if (here && !readable && policy(snapshot) != DeletionPolicy.Delete) {
            node.store().forget(snapshot.image()); // else it would keep its VM from booting for ever
        }
        if (here && readable && snapshot.mode() == ImageMode.MANAGED_SAVE) {
            // Given up on purpose: from now on it keeps its VM from booting no more, even if the file is kept.
            Optional<ImageState> state = node.store().state(snapshot.image());
            if (state.filter(fresh -> fresh.mayBecome(new ImageState.Stale(), ImageMode.MANAGED_SAVE))
                    .isPresent()) {
                node.store().transition(snapshot.image(), new ImageState.Stale());
            }
        }
        if (here && policy(snapshot) == DeletionPolicy.Delete) {
            node.store().delete(snapshot.image());
        }
        if (here && snapshot.adopts()) {
            news.publish(); // before nothing but that is left to hold the VM
        }
        if (here && sourceIsLeft(snapshot)) {
            return Next.after(RESTORE_POLL);
        }
        if (!node.cluster().removeFinalizer(snapshot.object())) {
            return Next.now();
        }
        unsaid.remove(new WorkItem.Snapshot(
                snapshot.object().getMetadata().getNamespace(),
                snapshot.object().getMetadata().getName()));
        LOG.info("VMSnapshot {}: let go", snapshot.name());
        scans.forget(snapshot.image());
        troubles.remove(snapshot.image().uid());
        rests.forget(snapshot.image().uid());
        begun.remove(snapshot.image().uid());
        saves.remove(snapshot.image().uid());
        return Next.onChange();
    }

    /**
     * Tells whether the pod that was saved for good is there still. It never starts again, so the operator is to delete it,
     * which it knows from this object only.
     */
    private boolean sourceIsLeft(SnapshotView snapshot) {
        ObjectName pod = snapshot.object().getStatus() == null
                ? null
                : snapshot.object().getStatus().getPod();
        return snapshot.saved()
                && snapshot.mode() != ImageMode.CHECKPOINT
                && pod != null
                && pod.name() != null
                && pod.uid() != null
                && node.cluster().podIsLive(snapshot.image().namespace(), pod.name(), pod.uid());
    }

    private boolean isHere(SnapshotView snapshot) {
        return snapshot.storeID().equals(Optional.of(node.store().storeID()));
    }

    private Next shutDown(SnapshotView snapshot) throws TorporException {
        Shutdowns.Step step = shutdowns.look(snapshot);
        if (step.say().isEmpty()) {
            return step.next();
        }
        Next said = say(snapshot, step.say().get());
        return said instanceof Next.OnChange ? step.next() : said;
    }

    private DeletionPolicy policy(SnapshotView snapshot) {
        DeletionPolicy own = snapshot.object().getSpec().deletionPolicy();
        if (own != null) {
            return own;
        }
        return classOf(snapshot).map(VMSnapshotClassSpec::deletionPolicy).orElse(DeletionPolicy.Delete);
    }

    private boolean verifies(SnapshotView snapshot) {
        VerifyPolicy own = snapshot.object().getSpec().verify();
        VerifyPolicy policy = own != null
                ? own
                : classOf(snapshot).map(VMSnapshotClassSpec::verify).orElse(VerifyPolicy.AfterSave);
        return policy == VerifyPolicy.AfterSave;
    }

    private Optional<VMSnapshotClassSpec> classOf(SnapshotView snapshot) {
        VMSnapshotStatus status = snapshot.object().getStatus();
        return Optional.ofNullable(status == null ? null : status.getClassName())
                .flatMap(node.cluster()::snapshotClass);
    }

    /** Says why it does not go on, and when it is tried again. */
    private Next again(SnapshotView snapshot, Trouble trouble, boolean saving) throws TorporException {
        Optional<ImageState> state;
        try {
            state = node.store().state(snapshot.image());
        } catch (TorporException e) {
            hold(snapshot, trouble.reason(), trouble.sentence() + " " + stateOfVm(snapshot, false));
            throw e;
        }
        boolean begun = state.filter(ImageState.Partial.class::isInstance).isPresent();
        if ((begun && saving) || (trouble.isFinal() && state.isEmpty())) {
            return Next.now(); // to undo it, or to say for good that it failed
        }
        hold(snapshot, trouble.reason(), trouble.message());
        return Next.backOff();
    }

    private void hold(SnapshotView snapshot, FailureReason reason, String message) {
        if (!snapshot.saved()) {
            var _ = say(
                    snapshot,
                    SnapshotStatuses.held(
                            snapshot.object(),
                            reason.name(),
                            message,
                            node.clock().instant()));
        }
    }

    private Next say(SnapshotView snapshot, VMSnapshotStatus own) {
        return after(snapshot, node.status().transition(StatusOwner.SNAPSHOT_AGENT, snapshot.object(), own));
    }

    private static Next after(SnapshotView snapshot, WriteResult<VMSnapshot> told) {
        return switch (told) {
            case WriteResult.Unchanged<VMSnapshot> _,
                    WriteResult.Written<VMSnapshot> _,
                    WriteResult.Gone<VMSnapshot> _ -> Next.onChange();
            case WriteResult.Stale<VMSnapshot>(String detail) -> {
                LOG.debug("VMSnapshot {}: {}", snapshot.name(), detail);
                yield Next.now();
            }
        };
    }
}
