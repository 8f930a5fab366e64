package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.StartDecision;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import java.time.Instant;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * One VM, its controller, the operator and the agents of some nodes, in one thread and without a clock: who acts next, who
 * dies, what a webhook was not asked, which node is drained and for how long, which pods end past it, and what an agent cannot read is drawn from a seed. Agents decide with the product's
 * own decisions on the product's own records; pods, QEMU and the API are models.
 *
 * <p>Checked at each step: one guest at a time; no boot while an image waits; an image resumed once at most, and onto the
 * disks that it belongs to; memory never lost but by a crash or on purpose.
 */
final class SimulatedFleet {
    /** What holds a VM back; a test leaves one out to see that it is missed. */
    enum Fence {
        /** The image in the node's own store, by its record. */
        IMAGE_HERE,
        /** Images and saves of other nodes, by what the API server says. */
        IMAGE_ELSEWHERE,
        /** The image is recorded as handed over before the guest runs. */
        HAND_OVER,
        /** The pod that the VM was saved from is never started again: it is about to be deleted. */
        RETIRED_POD,
        /** That a VM is being saved from a pod that ends is told in the NodeStore before its guest is paused. */
        TOLD_BEFORE_THE_SAVE
    }

    /** An invariant does not hold. */
    static final class BrokenException extends RuntimeException {
        private static final long serialVersionUID = 1L;

        BrokenException(String message) {
            super(message);
        }
    }

    /** What happened, for the tally. */
    record Counts(int saves, int resumes, int boots, int faults, int ends) {}

    private enum Guest {
        NONE,
        ASKING,
        INCOMING,
        RUNNING,
        PAUSED
    }

    private static final String NAMESPACE = "vms";
    private static final String VM = "web";
    private static final double WEBHOOK_AWAY = 0.2;
    private static final double OPERATOR_AWAY = 0.3;
    private static final double CRASH = 0.05;
    /** An operator that acts on what it saw a while ago. */
    private static final double OLD_NEWS = 0.2;
    /** A stop hook that waited for too long. */
    private static final double GRACE_IS_OVER = 0.15;

    private final Random random;
    private final Set<Fence> fences = EnumSet.allOf(Fence.class);
    private final List<Node> nodes = new ArrayList<>();
    private final List<Snapshot> snapshots = new ArrayList<>();
    /** Images of pods that end, for which there is no snapshot yet. */
    private final List<Snapshot> endSaves = new ArrayList<>();

    private final List<Restore> restores = new ArrayList<>();
    private @Nullable Pod pod;
    private int names;
    private int memories;
    private int disks;
    private int saves;
    private int resumes;
    private int boots;
    private int faults;
    /** Images of pods that end. */
    private int ends;

    SimulatedFleet(long seed, int nodeCount) {
        random = new Random(seed);
        for (int i = 0; i < nodeCount; i++) {
            nodes.add(new Node("n" + i));
        }
    }

    SimulatedFleet without(Fence fence) {
        fences.remove(fence);
        return this;
    }

    private static final class Node {
        final String name;
        VmRecord journal = VmRecord.NONE;
        final List<ImageRecord> images = new ArrayList<>();
        boolean apiAway;
        boolean cordoned;
        /** Partial images that this life of the agent has begun. */
        final List<String> begun = new ArrayList<>();
        /** What its NodeStore says of images that the agent makes by itself. */
        List<TerminationSave> told = List.of();

        Node(String name) {
            this.name = name;
        }

        Optional<ImageRecord> image(String uid) {
            return images.stream()
                    .filter(record -> record.id().uid().equals(uid))
                    .findFirst();
        }

        void put(ImageRecord record) {
            images.removeIf(other -> other.id().equals(record.id()));
            images.add(record);
        }
    }

    private static final class Pod {
        final String uid;

        @Nullable
        Node node;

        @Nullable
        Node bound;

        boolean gated;
        boolean terminating;
        /** What its stop hook asks for, and whether it was let go. */
        final OnTermination policy;

        boolean mayGo;

        @Nullable
        String restore;

        Guest guest = Guest.NONE;
        int memory;
        String container = "";
        boolean fed;

        Pod(String uid, OnTermination policy) {
            this.uid = uid;
            this.policy = policy;
        }

        ProcessIdentity process() {
            return new ProcessIdentity(uid, container, "boot", 1, 1);
        }
    }

    private static final class Snapshot {
        final String uid;
        final Node node;
        final String pod;
        /** Whose memory and whose disks the image has, once it is written. */
        int memory;

        int disks;
        int resumed;
        boolean saved;
        boolean failed;
        boolean consumed;
        boolean stale;
        boolean discarded;
        boolean cancelled;
        boolean ofDrain;
        /** It stands for an image that the agent made by itself. */
        boolean adopts;

        Snapshot(String uid, Node node, String pod) {
            this.uid = uid;
            this.node = node;
            this.pod = pod;
        }

        ImageId image() {
            return new ImageId(NAMESPACE, VM, uid);
        }

        /** Status says that the image waits. */
        boolean waits() {
            return saved && !consumed && !stale && !discarded;
        }
    }

    private static final class Restore {
        final String uid;
        final Snapshot snapshot;
        boolean checked;
        boolean resumed;
        boolean failed;

        @Nullable
        String pod;

        Restore(String uid, Snapshot snapshot) {
            this.uid = uid;
            this.snapshot = snapshot;
        }

        boolean active() {
            return !resumed && !failed;
        }
    }

    /** Lets {@code steps} things happen, and returns what did. */
    Counts run(int steps) {
        for (int i = 0; i < steps; i++) {
            step();
            check();
        }
        return new Counts(saves, resumes, boots, faults, ends);
    }

    private void step() {
        switch (random.nextInt(21)) {
            case 0 -> controllerMakesPod();
            case 1 -> scheduler();
            case 2, 3 -> kubelet();
            case 4, 5 -> answer();
            case 6 -> somebodySaves();
            case 7, 8 -> agentSaves();
            case 9 -> operatorStopsSource();
            case 10 -> operatorStarts();
            case 11, 12 -> agentRestores();
            case 13 -> operatorGivesPod();
            case 14 -> gateKeeper();
            case 15 -> drain();
            case 16 -> somebodyCancels();
            case 17, 18 -> agentLooksAtEnds();
            case 19 -> operatorAdopts();
            default -> fault();
        }
    }

    private String name(String prefix) {
        return prefix + ++names;
    }

    // Kubernetes.

    private void controllerMakesPod() {
        if (pod != null) {
            return;
        }
        pod = new Pod(name("p"), random.nextInt(3) == 0 ? OnTermination.ManagedSave : OnTermination.Never);
        Optional<Snapshot> waiting = waiting();
        if (waiting.isPresent() && random.nextDouble() >= WEBHOOK_AWAY) {
            pod.gated = true;
            pod.bound = waiting.get().node;
        }
    }

    private Optional<Snapshot> waiting() {
        return snapshots.stream().filter(Snapshot::waits).findFirst();
    }

    private void scheduler() {
        if (pod != null && pod.node == null && !pod.gated) {
            Node chosen = pod.bound != null ? pod.bound : nodes.get(random.nextInt(nodes.size()));
            pod.node = chosen.cordoned ? null : chosen;
        }
    }

    private void kubelet() {
        if (pod == null || pod.node == null) {
            if (pod != null && pod.terminating) {
                pod = null;
            }
            return;
        }
        if (pod.terminating) {
            boolean hookWaits = pod.policy != OnTermination.Never && !pod.mayGo && isUp(pod);
            if (!hookWaits || random.nextDouble() < GRACE_IS_OVER) {
                loseMemory();
                pod = null;
            }
        } else if (pod.guest == Guest.NONE) {
            pod.guest = Guest.ASKING;
            pod.container = name("c");
            pod.fed = false;
        }
    }

    private void fault() {
        faults++;
        switch (random.nextInt(6)) {
            case 0 -> endGuest();
            case 1 -> {
                Node node = nodes.get(random.nextInt(nodes.size()));
                node.begun.clear();
                if (pod != null && pod.node == node) {
                    endGuest();
                }
            }
            case 2 -> nodes.get(random.nextInt(nodes.size())).begun.clear();
            case 3 -> {
                Node node = nodes.get(random.nextInt(nodes.size()));
                node.apiAway = !node.apiAway;
            }
            case 4 -> {
                if (pod != null && random.nextInt(4) == 0) {
                    pod.terminating = true;
                }
            }
            default -> {
                if (random.nextInt(20) == 0) {
                    waiting().ifPresent(snapshot -> snapshot.discarded = true);
                }
            }
        }
    }

    private void endGuest() {
        if (pod != null && pod.guest != Guest.NONE) {
            loseMemory();
            pod.guest = Guest.NONE;
        }
    }

    /** The process of the pod ends: what was in its memory only is gone, which a crash or a deletion may do. */
    private void loseMemory() {
        if (pod != null) {
            pod.memory = 0;
        }
    }

    // Agents.

    private boolean crashes() {
        return random.nextDouble() < CRASH;
    }

    private void answer() {
        Pod asking = pod;
        if (asking == null || asking.guest != Guest.ASKING || asking.node == null) {
            return;
        }
        Node node = asking.node;
        VmRecord journal = journalOf(node, asking);
        StartFacts.Cluster cluster = node.apiAway ? new StartFacts.Away() : seen(node, asking);
        Optional<StartFacts.SavedImage> here = fences.contains(Fence.IMAGE_HERE)
                ? ManagedImages.waiting(node.images, journal)
                        .map(record -> new StartFacts.SavedImage(record.id().uid(), "saved here"))
                : Optional.empty();
        VmRecord asked = fences.contains(Fence.RETIRED_POD) ? journal : journal.notRetired(asking.uid);
        switch (StartDecision.of(new StartFacts(asking.uid, asked, here, cluster))) {
            case StartDecision.Wait _ -> {}
            case StartDecision.Boot _ -> {
                node.journal = node.journal.booted(asking.uid, asking.container, Instant.EPOCH);
                if (!crashes()) {
                    boot(asking);
                }
            }
            case StartDecision.Resume(String restore) -> {
                node.journal = node.journal.incoming(
                        asking.uid, asking.container, restore, VmRecord.Resume.LAZY, Instant.EPOCH);
                if (!crashes()) {
                    asking.guest = Guest.INCOMING;
                }
            }
        }
    }

    private VmRecord journalOf(Node node, Pod asking) {
        for (ImageRecord record : node.images) {
            if (record.stoppedForGood(asking.uid) && record.intent().runNumber() == node.journal.runs()) {
                node.journal = node.journal.retired(asking.uid);
            }
        }
        return node.journal;
    }

    private StartFacts.Seen seen(Node node, Pod asking) {
        List<StartFacts.ActiveRestore> active = restores.stream()
                .filter(Restore::active)
                .map(restore ->
                        new StartFacts.ActiveRestore(restore.uid, restore.uid, Optional.ofNullable(restore.pod)))
                .toList();
        List<StartFacts.SavedImage> saved = new ArrayList<>();
        for (Snapshot snapshot : snapshots) {
            boolean here = snapshot.node == node;
            if (fences.contains(Fence.IMAGE_ELSEWHERE)
                    && ManagedImages.holds(
                            view(snapshot),
                            here,
                            here && node.image(snapshot.uid).isPresent())) {
                saved.add(new StartFacts.SavedImage(snapshot.uid, "saved on node " + snapshot.node.name));
            }
        }
        for (Node other : nodes) {
            if (other != node && fences.contains(Fence.IMAGE_ELSEWHERE)) {
                other.told.stream()
                        .filter(save -> snapshots.stream().noneMatch(s -> s.uid.equals(save.image())))
                        .map(save -> new StartFacts.SavedImage(String.valueOf(save.image()), "saved by " + other.name))
                        .forEach(saved::add);
            }
        }
        return new StartFacts.Seen(active, saved, Optional.ofNullable(asking.restore));
    }

    private void boot(Pod booting) {
        for (Snapshot snapshot : all()) {
            boolean fresh = snapshot.node
                    .image(snapshot.uid)
                    .filter(record -> record.state() instanceof ImageState.Complete)
                    .isPresent();
            if (fresh && !snapshot.discarded && !snapshot.failed) {
                throw new BrokenException("I3: pod " + booting.uid + " boots while image " + snapshot.uid + " waits");
            }
        }
        boots++;
        disks++;
        booting.guest = Guest.RUNNING;
        booting.memory = ++memories;
    }

    private void agentSaves() {
        for (Snapshot snapshot : snapshots) {
            if (!snapshot.node.apiAway) {
                agentSaves(snapshot);
            }
        }
    }

    private void agentSaves(Snapshot snapshot) {
        Node node = snapshot.node;
        Optional<ImageRecord> record = node.image(snapshot.uid);
        if (record.filter(r -> r.state() instanceof ImageState.Partial).isPresent()
                && node.begun.contains(snapshot.uid)) {
            if (!snapshot.adopts) { // else whoever began it is at it
                writeAndCommit(snapshot, record.get());
            }
            return;
        }
        boolean inRestore = node.journal
                        .waiting()
                        .filter(w -> w.image().equals(snapshot.image()))
                        .isPresent()
                || record.filter(r -> r.state() instanceof ImageState.HandedOver)
                        .isPresent();
        SaveDecision decision = SaveDecision.of(new SaveDecision.Facts(
                view(snapshot), true, record, node.journal.runs(), inRestore, false, Optional.empty(), false));
        switch (decision) {
            case SaveDecision.Save _ -> begin(snapshot);
            case SaveDecision.Undo _ -> undo(snapshot);
            case SaveDecision.Mirror(ImageState state) -> {
                switch (state) {
                    case ImageState.Complete _ -> {
                        if (!snapshot.saved) {
                            node.journal = node.journal.retired(snapshot.pod);
                            if (!crashes()) {
                                snapshot.saved = true;
                                saves++;
                            }
                        }
                    }
                    case ImageState.Consumed _ -> snapshot.consumed = true;
                    case ImageState.Stale _ -> snapshot.stale = true;
                    default -> {}
                }
            }
            case SaveDecision.MarkStale _ ->
                throw new BrokenException("I3: the VM has run since managed image " + snapshot.uid);
            case SaveDecision.LetGo _ -> {
                record.filter(r -> r.state().mayBecome(new ImageState.Stale(), ImageMode.MANAGED_SAVE))
                        .ifPresent(r -> node.put(with(r, new ImageState.Stale())));
                snapshot.stale = true;
            }
            case SaveDecision.Consume _ -> node.put(with(record.orElseThrow(), new ImageState.Consumed()));
            case SaveDecision.GiveUp _ -> snapshot.failed = true;
            case SaveDecision.Rest _,
                    SaveDecision.TakeBack _,
                    SaveDecision.StayForRestore _,
                    SaveDecision.StayForStart _ -> {}
        }
    }

    private void begin(Snapshot snapshot) {
        Pod source = pod;
        if (source == null || !source.uid.equals(snapshot.pod) || source.guest != Guest.RUNNING) {
            snapshot.failed = true;
            return;
        }
        Node node = snapshot.node;
        PartialIntent intent = new PartialIntent(
                ImageMode.MANAGED_SAVE, node.journal.runs(), true, Optional.of(source.process()), Instant.EPOCH);
        node.put(new ImageRecord(snapshot.image(), intent, Optional.empty(), new ImageState.Partial()));
        if (!crashes()) {
            node.begun.add(snapshot.uid);
            source.guest = Guest.PAUSED;
        }
    }

    private void writeAndCommit(Snapshot snapshot, ImageRecord record) {
        Pod source = pod;
        if (source == null || !record.intent().source().equals(Optional.of(source.process())) || source.memory == 0) {
            snapshot.node.begun.remove(snapshot.uid); // QEMU is gone: undone next
            return;
        }
        if (snapshot.cancelled && random.nextBoolean()) {
            snapshot.node.begun.remove(snapshot.uid); // it came before the commit: undone next
            return;
        }
        snapshot.memory = source.memory;
        snapshot.disks = disks;
        snapshot.node.put(with(record, new ImageState.Complete()));
        snapshot.node.begun.remove(snapshot.uid);
    }

    private void undo(Snapshot snapshot) {
        Pod source = pod;
        if (source != null && source.uid.equals(snapshot.pod) && source.guest == Guest.PAUSED) {
            source.guest = Guest.RUNNING;
        }
        snapshot.node.images.removeIf(record -> record.id().uid().equals(snapshot.uid));
        snapshot.failed = true;
    }

    // Ends of pods.

    private static boolean isUp(Pod pod) {
        return pod.guest == Guest.RUNNING || pod.guest == Guest.PAUSED;
    }

    private List<Snapshot> all() {
        List<Snapshot> all = new ArrayList<>(snapshots);
        all.addAll(endSaves);
        return all;
    }

    /** The agents tell of their images, and answer the stop hook of a pod that ends. */
    private void agentLooksAtEnds() {
        nodes.forEach(SimulatedFleet::tell);
        for (Node node : nodes) {
            for (ImageRecord record : List.copyOf(node.images)) {
                boolean left = record.isOfTermination()
                        && record.state() instanceof ImageState.Partial
                        && !node.begun.contains(record.id().uid());
                if (left) {
                    undoEnd(node, record);
                    return;
                }
            }
        }
        if (pod != null && pod.terminating && !pod.mayGo && pod.node != null && isUp(pod)) {
            answerHook(pod, pod.node);
        }
    }

    private static void tell(Node node) {
        if (!node.apiAway) {
            node.told = node.images.stream()
                    .filter(ImageRecord::isOfTermination)
                    .map(record -> new TerminationSave(
                            NAMESPACE,
                            VM,
                            record.intent().source().orElseThrow().podUID(),
                            record.id().uid(),
                            !(record.state() instanceof ImageState.Partial),
                            null))
                    .toList();
        }
    }

    private void undoEnd(Node node, ImageRecord record) {
        Pod source = pod;
        if (source != null
                && source.guest == Guest.PAUSED
                && record.intent().source().equals(Optional.of(source.process()))) {
            source.guest = Guest.RUNNING;
        }
        node.images.remove(record);
        endSaves.removeIf(save -> save.uid.equals(record.id().uid()));
    }

    private void answerHook(Pod ending, Node node) {
        if (node.apiAway) {
            return; // nobody says how it ends
        }
        VmRecord journal = journalOf(node, ending);
        TerminationDecision.PodEnd end = new TerminationDecision.PodEnd(
                "web-0", Optional.of(Instant.EPOCH.plusSeconds(60)), 60, false, ending.policy);
        switch (TerminationDecision.of(
                journal.retiredPods().contains(ending.uid),
                Optional.of(end),
                Optional.empty(),
                Instant.EPOCH,
                Instant.EPOCH)) {
            case TerminationDecision.Go _ -> ending.mayGo = true;
            case TerminationDecision.LookAgain _ -> {}
            case TerminationDecision.Save _ -> {
                if (ending.guest == Guest.RUNNING && snapshots.stream().allMatch(s -> s.failed || s.saved)) {
                    saveEnd(ending, node);
                }
            }
        }
    }

    /** Its agent may die between any two of these; others act after it only, as it would be told of before. */
    private void saveEnd(Pod ending, Node node) {
        Snapshot save = new Snapshot(ImageRecord.newUidOfTermination(ending.uid), node, ending.uid);
        PartialIntent intent = new PartialIntent(
                ImageMode.MANAGED_SAVE, node.journal.runs(), true, Optional.of(ending.process()), Instant.EPOCH);
        ImageRecord partial = new ImageRecord(save.image(), intent, Optional.empty(), new ImageState.Partial());
        node.put(partial);
        endSaves.add(save);
        if (crashes()) {
            return;
        }
        if (fences.contains(Fence.TOLD_BEFORE_THE_SAVE)) {
            tell(node);
        }
        ending.guest = Guest.PAUSED;
        if (crashes()) {
            return;
        }
        save.memory = ending.memory;
        save.disks = disks;
        node.put(with(partial, new ImageState.Complete()));
        ends++;
        if (crashes()) {
            return;
        }
        node.journal = node.journal.retired(ending.uid);
        if (crashes()) {
            return;
        }
        ending.mayGo = true;
    }

    private void operatorAdopts() {
        for (Snapshot save : List.copyOf(endSaves)) {
            if (save.node.told.stream().anyMatch(told -> save.uid.equals(told.image()))) {
                endSaves.remove(save);
                save.adopts = true;
                snapshots.add(save);
            }
        }
    }

    private void agentRestores() {
        for (Restore restore : restores) {
            if (!restore.snapshot.node.apiAway) {
                agentRestores(restore);
            }
        }
    }

    private void agentRestores(Restore restore) {
        Node node = restore.snapshot.node;
        Optional<ImageRecord> record = node.image(restore.snapshot.uid);
        switch (RestoreDecision.of(
                new RestoreDecision.Facts(view(restore), record, node.journal, Optional.empty(), false))) {
            case RestoreDecision.Rest _, RestoreDecision.GiveUp _ -> {}
            case RestoreDecision.Check _ -> {
                if (record.filter(r -> r.state().restorable(ImageMode.MANAGED_SAVE))
                        .isEmpty()) {
                    restore.failed = true;
                    return;
                }
                node.journal = node.journal.waitingFor(new VmRecord.Waiting(restore.uid, restore.snapshot.image()));
                restore.checked = true;
            }
            case RestoreDecision.Load(String podUID) -> load(restore, podUID, record.orElseThrow());
            case RestoreDecision.Finish(ProcessIdentity process) -> {
                node.journal =
                        node.journal.handedOver(new VmRecord.HandOver(restore.uid, restore.snapshot.image(), process));
                if (pod != null && pod.process().equals(process) && pod.guest == Guest.INCOMING) {
                    resume(restore);
                }
                if (!crashes()) {
                    restore.resumed = true;
                }
            }
            case RestoreDecision.TidyUp(boolean consume) -> {
                node.journal = node.journal.notWaitingFor(restore.uid);
                if (consume) {
                    node.put(with(record.orElseThrow(), new ImageState.Consumed()));
                }
            }
        }
    }

    private void load(Restore restore, String podUID, ImageRecord record) {
        Pod target = pod;
        if (target == null || !target.uid.equals(podUID)) {
            restore.failed = true; // PodGone
            return;
        }
        if (target.guest != Guest.INCOMING || target.node != restore.snapshot.node) {
            return;
        }
        if (target.fed) {
            endGuest();
            return;
        }
        target.fed = true;
        if (crashes()) {
            return;
        }
        if (!fences.contains(Fence.HAND_OVER)) {
            resume(restore);
            return;
        }
        restore.snapshot.node.put(with(record, new ImageState.HandedOver(target.process())));
        if (crashes()) {
            return;
        }
        restore.snapshot.node.journal = restore.snapshot.node.journal.handedOver(
                new VmRecord.HandOver(restore.uid, restore.snapshot.image(), target.process()));
    }

    private void resume(Restore restore) {
        Snapshot snapshot = restore.snapshot;
        Pod target = pod;
        if (target == null || ++snapshot.resumed > 1) {
            throw new BrokenException("I2: image " + snapshot.uid + " is resumed a second time");
        }
        if (snapshot.disks != disks) {
            throw new BrokenException("I2: image " + snapshot.uid + " is resumed onto disks that moved on");
        }
        if (target.uid.equals(snapshot.pod)) {
            throw new BrokenException("I1: image " + snapshot.uid + " is resumed in the pod that goes for it");
        }
        resumes++;
        disks++;
        target.guest = Guest.RUNNING;
        target.memory = snapshot.memory;
    }

    // Operator.

    private void somebodySaves() {
        boolean busy = snapshots.stream().anyMatch(snapshot -> !snapshot.failed && !snapshot.saved)
                || restores.stream().anyMatch(Restore::active)
                || waiting().isPresent();
        if (pod != null && pod.node != null && pod.guest == Guest.RUNNING && !pod.terminating && !busy) {
            snapshots.add(new Snapshot(name("s"), pod.node, pod.uid));
        }
    }

    /** A node is drained, or taken back: its VM is saved once it is seen to run there, and no longer if the drain is over. */
    private void drain() {
        Node drained = nodes.get(random.nextInt(nodes.size()));
        if (nodes.stream().anyMatch(node -> node.cordoned)) {
            nodes.forEach(node -> node.cordoned &= random.nextInt(4) == 0);
        } else {
            drained.cordoned = random.nextInt(6) == 0;
        }
        for (Snapshot snapshot : snapshots) {
            snapshot.cancelled |= snapshot.ofDrain && !snapshot.saved && !snapshot.node.cordoned;
        }
        if (pod != null && pod.node != null && pod.node.cordoned) {
            int before = snapshots.size();
            somebodySaves();
            snapshots.subList(before, snapshots.size()).forEach(snapshot -> snapshot.ofDrain = true);
        }
    }

    private void somebodyCancels() {
        if (random.nextInt(4) == 0) {
            snapshots.stream().filter(snapshot -> !snapshot.saved).forEach(snapshot -> snapshot.cancelled = true);
        }
    }

    private void operatorStopsSource() {
        waiting().ifPresent(snapshot -> {
            if (pod != null && pod.uid.equals(snapshot.pod) && random.nextDouble() >= OPERATOR_AWAY) {
                requireCommitted(snapshot);
                pod.terminating = true;
            }
        });
    }

    private static void requireCommitted(Snapshot snapshot) {
        boolean committed = snapshot.node
                .image(snapshot.uid)
                .filter(record -> !(record.state() instanceof ImageState.Partial))
                .isPresent();
        if (!committed) {
            throw new BrokenException(
                    "I1: pod " + snapshot.pod + " is stopped for image " + snapshot.uid + ", which is not committed");
        }
    }

    private void operatorStarts() {
        Optional<Snapshot> waiting = waiting();
        if (waiting.isEmpty()
                || pod == null
                || pod.terminating
                || (pod.uid.equals(waiting.get().pod) && random.nextDouble() >= OLD_NEWS)
                || (waiting.get().node.cordoned && random.nextDouble() >= OLD_NEWS)
                || (pod.node != null && pod.node != waiting.get().node)
                || restores.stream().anyMatch(Restore::active)) {
            if (waiting.isPresent() && pod != null && pod.node != null && pod.node != waiting.get().node) {
                pod.terminating = true; // a person does, as the snapshot says
            }
            return;
        }
        restores.add(new Restore(name("r"), waiting.get()));
    }

    private void operatorGivesPod() {
        for (Restore restore : restores) {
            if (restore.failed && pod != null && restore.uid.equals(pod.restore)) {
                pod.terminating = true;
            }
            boolean fits = pod != null
                    && !pod.terminating
                    && pod.restore == null
                    && (pod.node == null || pod.node == restore.snapshot.node);
            if (restore.active() && restore.checked && restore.pod == null && fits && pod != null) {
                pod.gated = false;
                pod.bound = restore.snapshot.node;
                pod.restore = restore.uid;
            } else if (restore.active() && restore.pod == null && pod != null && restore.uid.equals(pod.restore)) {
                restore.pod = pod.uid;
            } else if (restore.active()
                    && restore.pod != null
                    && (pod == null || !pod.uid.equals(restore.pod))
                    && !isHandedOver(restore)) {
                restore.failed = true; // PodGone
            }
        }
    }

    // The agent says so; the operator's PodGone may come before, and the agent's word wins.
    private static boolean isHandedOver(Restore restore) {
        return restore.snapshot
                .node
                .image(restore.snapshot.uid)
                .filter(record -> record.state() instanceof ImageState.HandedOver)
                .isPresent();
    }

    private void gateKeeper() {
        if (pod != null && pod.gated && waiting().isEmpty()) {
            pod = null;
        }
    }

    // Views of the product.

    private static VMSnapshot object(Snapshot snapshot) {
        VMSnapshot object = new VMSnapshot();
        object.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(snapshot.uid)
                .withUid(snapshot.uid)
                .withCreationTimestamp("2026-01-02T03:04:05Z")
                .withDeletionTimestamp(snapshot.discarded ? "2026-01-02T03:05:05Z" : null)
                .addToFinalizers(Torpor.IMAGE_FINALIZER)
                .addToAnnotations(Torpor.DISCARD_ANNOTATION, Boolean.toString(snapshot.discarded))
                .build());
        object.setSpec(new VMSnapshotSpec(
                VM,
                SaveMode.ManagedSave,
                null,
                snapshot.adopts ? new SourceSpec(snapshot.pod, snapshot.uid) : null,
                null,
                null,
                snapshot.cancelled ? true : null,
                null,
                null,
                null));
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setNodeName(snapshot.node.name);
        status.setStoreID(snapshot.node.name);
        status.setPod(new ObjectName("web-0", snapshot.pod));
        List<Condition> conditions = new ArrayList<>();
        conditions.add(condition(ConditionType.SAVED, snapshot.saved, "Saved"));
        if (snapshot.saved) {
            String reason = snapshot.consumed ? "Consumed" : snapshot.stale ? "Stale" : "Committed";
            conditions.add(condition(ConditionType.IMAGE_AVAILABLE, !snapshot.consumed, reason));
        }
        status.setConditions(conditions);
        if (snapshot.failed) {
            status.setFailure(new dev.torpor.api.v1alpha1.FailureStatus("QEMUGone", "it failed"));
        }
        object.setStatus(status);
        return object;
    }

    private static Condition condition(String type, boolean status, String reason) {
        return Conditions.next(null, type, status, reason, "", 1L, Instant.EPOCH);
    }

    private static SnapshotView view(Snapshot snapshot) {
        return SnapshotView.of(object(snapshot));
    }

    private static RestoreView view(Restore restore) {
        return RestoreViews.of(
                restore.uid,
                restore.snapshot.image(),
                Optional.ofNullable(restore.pod).map(uid -> new ObjectName("web-0", uid)),
                restore.checked,
                restore.resumed,
                restore.failed);
    }

    private static ImageRecord with(ImageRecord record, ImageState state) {
        return new ImageRecord(record.id(), record.intent(), record.seal(), state);
    }

    /**
     * Checks that memory which was saved, and neither resumed nor given up, is still in an image; and that a guest which is
     * paused is so for an image, whose record leads the next agent to it.
     */
    private void check() {
        Pod paused = pod;
        if (paused != null
                && paused.guest == Guest.PAUSED
                && all().stream()
                        .noneMatch(snapshot -> snapshot.pod.equals(paused.uid)
                                && snapshot.node.image(snapshot.uid).isPresent())) {
            throw new BrokenException("I1: the guest of pod " + paused.uid + " is paused for no image");
        }
        for (Snapshot snapshot : snapshots) {
            if (snapshot.saved && !snapshot.discarded && !snapshot.stale && snapshot.resumed == 0) {
                ImageState state = snapshot.node
                        .image(snapshot.uid)
                        .map(ImageRecord::state)
                        .orElseThrow(() -> new BrokenException("I1: image " + snapshot.uid + " is gone"));
                boolean lost = state instanceof ImageState.Stale || state instanceof ImageState.Consumed;
                if (lost && !(state instanceof ImageState.Consumed && endedBeforeItRan(snapshot))) {
                    throw new BrokenException("I1: image " + snapshot.uid + " is " + state.word() + ", never resumed");
                }
            }
        }
    }

    // Handed over durably, and its process died before the guest went on: as a crash right after the resume.
    private boolean endedBeforeItRan(Snapshot snapshot) {
        return restores.stream().anyMatch(restore -> restore.snapshot == snapshot && restore.resumed);
    }
}
