package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.Answer;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.launch.StartDecision;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.DeletionPolicy;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VerifyPolicy;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * One VM, its controller, the operator, users and the agents of some nodes, in one thread. Agents run the product's own code
 * over its own store and journal, whose disk is {@link SimulatedDisk}; the API, QEMU, Kubernetes and the operator are models.
 * Who acts next, what changes between any two calls of an agent, what fails and who dies is drawn from a seed.
 *
 * <p>Checked: what design.md calls I1 to I5; see where {@link #broken} is called.
 */
final class SimulatedWorld {
    /** What keeps the invariants; a test leaves one out to see that it is missed. */
    enum Guard {
        /** An image of this node's store keeps its VM from booting, by its record. */
        IMAGE_HERE,
        /** So do images of other nodes, by what the API server says. */
        IMAGE_ELSEWHERE,
        /** A pod that was saved for good never starts again. */
        RETIRED_POD,
        /** A boot is in the journal before it is answered. */
        BOOT_IN_THE_JOURNAL_FIRST,
        /** A guest that was fed does not run before its hand-over is recorded. */
        GUEST_WAITS_FOR_THE_HAND_OVER,
        /** A process that was fed is not fed again. */
        ONE_FEED_FOR_EACH_PROCESS,
        /** A process is known from others of its pod. */
        WHICH_PROCESS,
        /** A write of status carries the version of what it was decided on. */
        VERSION_OF_A_WRITE,
        /** A pod is deleted by its UID. */
        UID_OF_A_DELETION,
        /** What a start hangs on is read live, not from an informer. */
        LIVE_READ,
        /** A pod is deleted when its image is said to be saved, no earlier. */
        SAVED_BEFORE_DELETION,
        /** That a VM is saved at its pod's end is told in the NodeStore before it is paused. */
        TOLD_BEFORE_THE_PAUSE
    }

    /** An invariant does not hold. */
    static final class BrokenError extends Error {
        private static final long serialVersionUID = 1L;

        BrokenError(String message) {
            super(message);
        }
    }

    /** What happened, for the tally. */
    record Counts(
            int steps, int saves, int ends, int resumes, int boots, Map<SimulatedTrouble.Kind, Integer> troubles) {}

    enum Guest {
        NONE,
        ASKING,
        INCOMING,
        RUNNING,
        PAUSED
    }

    static final String NAMESPACE = "vms";
    static final VmName VM = new VmName(NAMESPACE, "web");
    private static final String POD = "web-0";
    private static final int ROUNDS_TO_REST = 40;
    /** Looks at all images cost more than a step. */
    private static final int STEPS_BETWEEN_LOOKS = 10;

    static final int GRACE_SECONDS = 40;

    private static final double TROUBLE = 0.12;

    private final Random random;
    private final Set<Guard> guards = EnumSet.allOf(Guard.class);
    final List<Host> hosts = new ArrayList<>();
    final Map<String, VMSnapshot> snapshots = new TreeMap<>();
    final Map<String, VMRestore> restores = new TreeMap<>();
    /** What informers know: any older version of each object. */
    final Map<String, VMSnapshot> informed = new TreeMap<>();

    final Map<String, VMRestore> informedRestores = new TreeMap<>();
    private @Nullable String informedPod;
    /** What agents tell of their stores, by their nodes' names. */
    final Map<String, NodeStore> stores = new TreeMap<>();

    final Map<String, NodeStore> informedStores = new TreeMap<>();
    private final Map<String, Truth> images = new HashMap<>();

    @Nullable
    Pod pod;

    /** How often a guest has run, and so changed the VM's disks. */
    int disks;

    private Instant now = Instant.parse("2026-01-02T03:04:05Z");
    private long versions;
    private int names;
    private int memories;
    private boolean conflicting;
    private final Set<String> conflicts = new HashSet<>();
    private boolean outside;
    private boolean calm;
    private int steps;
    private int saves;
    private int ends;
    private int resumes;
    private int boots;
    private @Nullable BrokenError broken;

    /** A node with its disk, and its agent while that lives. */
    final class Host {
        final String name;
        final Path path;
        final int number;
        final SimulatedTrouble trouble = new SimulatedTrouble(random);
        SimulatedDisk disk;
        String boot;
        boolean apiAway;

        @Nullable
        SimulatedAgent agent;

        Host(int number, Path path) {
            this.name = "n" + number;
            this.number = number;
            this.path = path;
            this.disk = SimulatedDisk.mount(path, number, trouble::onDisk);
            this.boot = name("boot");
        }
    }

    /** The VM's pod. */
    static final class Pod {
        final String uid;

        @Nullable
        Host node;

        @Nullable
        Host bound;

        boolean gated;
        boolean terminating;
        OnTermination policy = OnTermination.Never;
        boolean disrupted;
        Instant killAt = Instant.MAX;

        /** The {@code preStop} hook that asks, if one does. */
        @Nullable
        String hook;

        boolean mayGo;

        @Nullable
        String restore;

        Guest guest = Guest.NONE;
        String container = "";
        boolean fed;
        boolean savedToEnd;
        int memory;

        @Nullable
        String image;

        int disksOfImage;

        Pod(String uid) {
            this.uid = uid;
        }

        boolean hasQemu() {
            return guest == Guest.INCOMING || guest == Guest.RUNNING || guest == Guest.PAUSED;
        }
    }

    /** What an image has in it, and what became of that. */
    private static final class Truth {
        int memory;
        int disks;
        int resumed;
        boolean givenUp;
    }

    /**
     * Makes a world.
     *
     * @param paths existing directories, in whose place the nodes' disks are
     */
    SimulatedWorld(long seed, List<Path> paths) {
        random = new Random(seed);
        for (int i = 0; i < paths.size(); i++) {
            hosts.add(new Host(i, paths.get(i)));
        }
    }

    SimulatedWorld without(Guard guard) {
        guards.remove(guard);
        return this;
    }

    /** Has each write of an agent conflict the first time: of each object for each thing that it says. */
    SimulatedWorld withConflicts() {
        conflicting = true;
        return this;
    }

    /** Tells whether a write conflicts. */
    boolean conflicts(String write) {
        return conflicting && conflicts.add(write);
    }

    /** Returns how many writes did. */
    int conflicts() {
        return conflicts.size();
    }

    /** Leaves out the flushes of one place in the code; see {@link SimulatedDisk#without}. */
    SimulatedWorld withoutSync(@Nullable String place) {
        hosts.forEach(host -> host.disk.without(place));
        return this;
    }

    /** Returns the places in the code that flush. */
    Set<String> syncs() {
        Set<String> all = new HashSet<>();
        hosts.forEach(host -> all.addAll(host.disk.syncs()));
        return all;
    }

    boolean has(Guard guard) {
        return guards.contains(guard);
    }

    BrokenError broken(String why) {
        BrokenError error = new BrokenError("after " + steps + " steps: " + why);
        broken = broken == null ? error : broken;
        return error;
    }

    /** Nothing happens by chance from now on. */
    SimulatedWorld calm() {
        calm = true;
        return this;
    }

    /** Lets things happen, and then come to rest. */
    Counts run(int howMany) {
        for (int i = 0; i < howMany; i++) {
            step();
        }
        rest();
        Map<SimulatedTrouble.Kind, Integer> troubles = new EnumMap<>(SimulatedTrouble.Kind.class);
        hosts.forEach(
                host -> host.trouble.struck().forEach((kind, count) -> troubles.merge(kind, count, Integer::sum)));
        hosts.forEach(this::end);
        return new Counts(steps, saves, ends, resumes, boots, troubles);
    }

    private void step() {
        steps++;
        if (random.nextInt(2) == 0) {
            if (random.nextBoolean()) {
                inform();
            }
            outsider(random.nextInt(OUTSIDERS));
        } else {
            Host busy = pod != null && pod.node != null && random.nextInt(3) != 0 ? pod.node : null;
            agent(busy != null ? busy : hosts.get(random.nextInt(hosts.size())));
        }
        now = now.plusSeconds(random.nextInt(2));
        check();
        if (steps % STEPS_BETWEEN_LOOKS == 0) {
            hosts.forEach(host -> requireImages(host, false));
        }
    }

    void check() {
        if (broken != null) {
            throw broken;
        }
    }

    String name(String prefix) {
        return prefix + ++names;
    }

    Clock clock() {
        return new Clock() {
            @Override
            public ZoneId getZone() {
                return ZoneOffset.UTC;
            }

            @Override
            public Clock withZone(ZoneId zone) {
                return this;
            }

            @Override
            public Instant instant() {
                return now;
            }
        };
    }

    // Agents.

    void agent(Host host) {
        if (!calm && random.nextDouble() < TROUBLE) {
            SimulatedTrouble.Kind[] kinds = SimulatedTrouble.Kind.values();
            host.trouble.arm(kinds[random.nextInt(kinds.length)]);
        }
        try {
            SimulatedAgent agent = host.agent;
            if (agent == null) {
                host.trouble.born();
                host.agent = new SimulatedAgent(this, host);
            } else {
                act(host, agent);
            }
        } catch (TorporException | KubernetesClientException e) {
            // Its workers try again: so do we, some time.
        } catch (BrokenError e) {
            throw e;
        } catch (Error | RuntimeException e) {
            if (!host.trouble.dead()) {
                throw e;
            }
            die(host);
        }
    }

    private void die(Host host) {
        check();
        end(host);
        host.disk.processEnds();
        if (host.trouble.powerLost()) {
            losePower(host);
        }
    }

    void end(Host host) {
        SimulatedAgent agent = host.agent;
        host.agent = null;
        if (agent != null) {
            agent.forget();
        }
    }

    private void losePower(Host host) {
        host.disk.losePower(random);
        host.boot = name("boot");
        if (pod != null && pod.node == host) {
            endGuest();
        }
        requireImages(host, true);
    }

    private void act(Host host, SimulatedAgent agent) throws TorporException {
        List<Runnable> looks = new ArrayList<>();
        for (VMSnapshot object : snapshots.values()) {
            if (object.getStatus() != null
                    && host.name.equals(object.getStatus().getNodeName())) {
                looks.add(() -> agent.look(object));
            }
        }
        for (VMRestore object : restores.values()) {
            if (object.getStatus() != null
                    && host.name.equals(object.getStatus().getNodeName())) {
                looks.add(() -> agent.look(object));
            }
        }
        for (ImageId image : agent.leftBehind()) {
            looks.add(() -> agent.settle(image));
        }
        if (calm || agent.hasNews() || random.nextInt(8) == 0) {
            looks.add(agent::tell);
        }
        Pod asking = pod;
        if (asking != null && asking.node == host && asking.hook != null && !asking.mayGo) {
            if (calm || looks.isEmpty() || random.nextInt(2) == 0) {
                agent.answer(asking.uid, new SimulatedHook(host, asking, asking.hook));
                if (!calm) {
                    return;
                }
            }
        }
        if (asking != null && asking.node == host && asking.guest == Guest.ASKING) {
            if (calm || looks.isEmpty() || random.nextInt(3) == 0) {
                answer(host, agent, asking);
                if (!calm) {
                    return;
                }
            }
        }
        if (calm) {
            looks.forEach(Runnable::run);
        } else if (!looks.isEmpty()) {
            looks.get(random.nextInt(looks.size())).run();
        }
    }

    /** A hook, which hears what it is told while its container is there. */
    private final class SimulatedHook implements Terminations.Hook {
        private final Host host;
        private final Pod ending;
        private final String id;

        SimulatedHook(Host host, Pod ending, String id) {
            this.host = host;
            this.ending = ending;
            this.id = id;
        }

        @Override
        public String id() {
            return id;
        }

        @Override
        public AskDirectory.Delivery answer(Answer answer, Duration patience) {
            var _ = host.trouble.at(SimulatedTrouble.Place.STEP);
            if (pod != ending || !id.equals(ending.hook)) {
                return AskDirectory.Delivery.NOBODY_ASKS;
            }
            ending.mayGo = answer instanceof Answer.Go;
            return AskDirectory.Delivery.DELIVERED;
        }
    }

    private void answer(Host host, SimulatedAgent agent, Pod asking) throws TorporException {
        String container = asking.container;
        VmRecord journal = agent.journal(asking.uid);
        Optional<StartFacts.SavedImage> here =
                has(Guard.IMAGE_HERE) ? agent.images().here(VM, journal) : Optional.empty();
        VmRecord asked = has(Guard.RETIRED_POD) ? journal : journal.notRetired(asking.uid);
        StartDecision decision = StartDecision.of(new StartFacts(asking.uid, asked, here, cluster(agent, asking)));
        if (decision instanceof StartDecision.Boot) {
            if (has(Guard.BOOT_IN_THE_JOURNAL_FIRST)) {
                agent.update(vm -> vm.booted(asking.uid, container, now));
            }
            var _ = host.trouble.at(SimulatedTrouble.Place.STEP);
            if (pod == asking && asking.guest == Guest.ASKING && asking.container.equals(container)) {
                boot(asking);
            }
        } else if (decision instanceof StartDecision.Resume(String restore)) {
            // Long ago, as real time is waited for a QEMU that was told to start just now.
            agent.update(vm -> vm.incoming(asking.uid, container, restore, VmRecord.Resume.EAGER, Instant.EPOCH));
            var _ = host.trouble.at(SimulatedTrouble.Place.STEP);
            if (pod == asking && asking.guest == Guest.ASKING && asking.container.equals(container)) {
                asking.guest = Guest.INCOMING;
            }
        }
    }

    private StartFacts.Cluster cluster(SimulatedAgent agent, Pod asking) throws TorporException {
        try {
            List<StartFacts.ActiveRestore> active = agent.cluster().activeRestores(VM);
            Optional<Cluster.LivePod> live = agent.cluster().livePod(VM, asking.uid);
            return live.isEmpty()
                    ? new StartFacts.PodGone()
                    : new StartFacts.Seen(
                            active,
                            has(Guard.IMAGE_ELSEWHERE) ? agent.images().elsewhere(VM) : List.of(),
                            live.get().restoreUID());
        } catch (KubernetesClientException e) {
            return new StartFacts.Away();
        }
    }

    // Guests.

    private void boot(Pod booting) {
        images.forEach((uid, image) -> {
            if (waits(uid, image)) {
                throw broken("I3: pod " + booting.uid + " boots while image " + uid + " waits");
            }
        });
        boots++;
        disks++;
        booting.guest = Guest.RUNNING;
        booting.memory = ++memories;
    }

    /** Tells whether an image is committed and is to be resumed: its VM has not run since, and nobody gave it up. */
    private boolean waits(String uid, Truth image) {
        return !image.givenUp
                && image.disks == disks
                && image.resumed == 0
                && hosts.stream().anyMatch(host -> recordOf(host, uid)
                        .filter(record -> record.intent().mode() == ImageMode.MANAGED_SAVE)
                        .filter(record -> record.state() instanceof ImageState.Complete)
                        .isPresent());
    }

    /** A guest is told to go on. */
    void resume(Pod resumed) {
        switch (resumed.guest) {
            case PAUSED -> {
                images.forEach((uid, image) -> {
                    if (image.memory == resumed.memory && waits(uid, image)) {
                        throw broken("I2: the guest of pod " + resumed.uid + " runs on over image " + uid);
                    }
                });
                disks++;
                resumed.guest = Guest.RUNNING;
                resumed.savedToEnd = false;
            }
            case INCOMING -> {
                String uid = resumed.image;
                Truth image = uid == null ? null : images.get(uid);
                if (image == null) {
                    throw broken("I2: a guest runs that was fed nothing");
                }
                if (++image.resumed > 1) {
                    throw broken("I2: image " + uid + " is resumed a second time");
                }
                if (resumed.disksOfImage != disks) {
                    throw broken("I2: image " + uid + " is resumed onto disks that moved on");
                }
                resumes++;
                disks++;
                resumed.guest = Guest.RUNNING;
            }
            case NONE, ASKING, RUNNING -> {}
        }
    }

    /** QEMU has written all of its memory to a file. */
    void written(String file, Pod source) {
        String uid = file.substring(file.lastIndexOf('/') + 1).replace(".img", "");
        Truth image = images.computeIfAbsent(uid, _ -> new Truth());
        image.memory = source.memory;
        image.disks = disks;
        saves++;
        if (uid.startsWith(source.uid)) {
            ends++;
        }
    }

    /** QEMU has read memory from a file. */
    void loaded(Pod target, String uid, ByteBuffer bytes) {
        target.memory = bytes.getInt();
        target.disksOfImage = bytes.getInt();
        target.image = uid;
        Truth image = images.get(uid);
        if (image == null || image.memory != target.memory || image.disks != target.disksOfImage) {
            throw broken("I4: what was read from image " + uid + " is not what was saved");
        }
    }

    void endGuest() {
        if (pod != null && pod.guest != Guest.NONE) {
            pod.guest = Guest.NONE;
            pod.memory = 0;
            pod.image = null;
            pod.fed = false;
            pod.savedToEnd = false;
            pod.hook = null;
            pod.mayGo = false;
        }
    }

    // What happens meanwhile.

    private static final int OUTSIDERS = 25;
    /** The first of them that is a user; the last is bad luck. */
    private static final int USERS = 20;

    /** Between any two calls of an agent others may act. */
    void meanwhile() {
        if (!outside && !calm && random.nextInt(10) == 0) {
            outside = true;
            try {
                outsider(random.nextInt(OUTSIDERS));
            } finally {
                outside = false;
            }
        }
    }

    private void outsider(int which) {
        switch (which) {
            case 0, 1 -> controllerMakesPod();
            case 2, 3 -> scheduler();
            case 4, 5, 6 -> kubelet();
            case 7, 8 -> operatorBinds();
            case 9, 10 -> operatorStopsSource();
            case 11, 12 -> operatorStarts();
            case 13, 14 -> operatorGivesPod();
            case 15, 16, 17 -> inform();
            case 18, 19 -> operatorAdopts();
            case 20, 21 -> userSaves();
            case 22 -> userGivesUp();
            case 23 -> somebodyDeletesPod();
            default -> misfortune();
        }
    }

    void controllerMakesPod() {
        if (pod == null) {
            Pod made = new Pod(name("p"));
            boolean webhookAsked = calm || random.nextInt(5) != 0;
            holding().filter(_ -> webhookAsked).ifPresent(node -> {
                made.gated = true;
                made.bound = host(node);
            });
            if (!calm) {
                OnTermination[] policies = OnTermination.values();
                made.policy =
                        random.nextBoolean() ? OnTermination.ManagedSave : policies[random.nextInt(policies.length)];
            }
            pod = made;
        }
    }

    private Host host(@Nullable String name) {
        return hosts.stream().filter(host -> host.name.equals(name)).findFirst().orElseThrow();
    }

    private Optional<VMSnapshot> waiting() {
        return snapshots.values().stream()
                .filter(SimulatedWorld::saved)
                .filter(object -> object.getSpec().mode() == SaveMode.ManagedSave)
                .filter(object -> !ManagedImages.isOver(object))
                .filter(object -> !isGivenUp(object))
                .findFirst();
    }

    /** Returns the node that has a VM's memory, or is about to have it. */
    private Optional<String> holding() {
        return waiting().map(snapshot -> snapshot.getStatus().getNodeName()).or(() -> stores.entrySet().stream()
                .filter(store -> told(store.getValue()).anyMatch(save -> snapshots.values().stream()
                        .noneMatch(object -> imageOf(object).equals(save.image()) && isDecided(object))))
                .map(Map.Entry::getKey)
                .findFirst());
    }

    private static boolean isDecided(VMSnapshot object) {
        return saved(object)
                || (object.getStatus() != null && object.getStatus().getFailure() != null);
    }

    private static Stream<TerminationSave> told(NodeStore store) {
        return store.getStatus() == null ? Stream.empty() : store.getStatus().saves().stream();
    }

    /** Returns the UID of the image that an object is of. */
    static String imageOf(VMSnapshot object) {
        return object.adoptedImage().orElse(object.getMetadata().getUid());
    }

    static boolean saved(VMSnapshot object) {
        return object.getStatus() != null
                && Conditions.isTrue(object.getStatus().getConditions(), ConditionType.SAVED);
    }

    private static boolean isGivenUp(VMSnapshot object) {
        return object.getMetadata().getDeletionTimestamp() != null
                && object.getMetadata().getAnnotations() != null
                && object.getMetadata().getAnnotations().containsKey(Torpor.DISCARD_ANNOTATION);
    }

    void scheduler() {
        if (pod != null && pod.node == null && !pod.gated && !pod.terminating) {
            pod.node = pod.bound != null ? pod.bound : hosts.get(random.nextInt(hosts.size()));
        }
    }

    void kubelet() {
        if (pod == null) {
            return;
        }
        if (pod.terminating) {
            end(pod);
        } else if (pod.hook != null) {
            if (pod.mayGo || (!calm && random.nextInt(5) == 0)) {
                endGuest(); // its container only
            }
        } else if (pod.node != null && pod.guest == Guest.NONE) {
            pod.guest = Guest.ASKING;
            pod.container = name("c");
        }
    }

    /** The hook first, if there is a container, and for no longer than its grace period. */
    private void end(Pod ending) {
        Host host = ending.node;
        if (host != null && ending.guest != Guest.NONE) {
            if (ending.hook == null) {
                ending.hook = name("h");
                return;
            }
            boolean hearsNothing = host.agent == null && !calm && random.nextInt(4) == 0;
            boolean late = !calm && random.nextInt(20) == 0;
            if (!ending.mayGo && now.isBefore(ending.killAt) && !hearsNothing && !late) {
                return;
            }
        }
        endGuest();
        pod = null;
    }

    /** A pod is deleted; its processes have some time. */
    void delete(Pod deleted) {
        if (!deleted.terminating) {
            deleted.terminating = true;
            deleted.killAt = now.plusSeconds(calm ? GRACE_SECONDS : 5 + random.nextInt(GRACE_SECONDS));
        }
    }

    private void somebodyDeletesPod() {
        if (pod != null && !pod.terminating && (pod.guest == Guest.RUNNING || random.nextInt(4) == 0)) {
            pod.disrupted = random.nextBoolean();
            delete(pod);
        }
    }

    // Users.

    private void userSaves() {
        String name = "s" + random.nextInt(3);
        boolean busy = snapshots.values().stream()
                .anyMatch(object -> !saved(object)
                        && (object.getStatus() == null || object.getStatus().getFailure() == null));
        if (pod == null || busy || snapshots.containsKey(name)) {
            return;
        }
        userSaves(name, random.nextInt(5) == 0 ? SaveMode.Checkpoint : SaveMode.ManagedSave);
    }

    void userSaves(String name, SaveMode mode) {
        make(name, spec(mode, null, false));
    }

    private void make(String name, VMSnapshotSpec spec) {
        VMSnapshot object = new VMSnapshot();
        object.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(name)
                .withUid(name("u"))
                .withResourceVersion(Long.toString(++versions))
                .withGeneration(1L)
                .withCreationTimestamp(now.toString())
                .addToFinalizers(Torpor.IMAGE_FINALIZER)
                .build());
        object.setSpec(spec);
        snapshots.put(name, object);
    }

    private static VMSnapshotSpec spec(SaveMode mode, @Nullable SourceSpec source, boolean cancel) {
        return new VMSnapshotSpec(
                VM.name(),
                mode,
                null,
                source,
                null,
                null,
                cancel,
                DeletionPolicy.Delete,
                null,
                VerifyPolicy.Never,
                null);
    }

    private void userGivesUp() {
        List<VMSnapshot> all = List.copyOf(snapshots.values());
        if (all.isEmpty()) {
            return;
        }
        VMSnapshot object = all.get(random.nextInt(all.size()));
        boolean over =
                object.getStatus() != null && (object.getStatus().getFailure() != null || ManagedImages.isOver(object));
        int dice = random.nextInt(8);
        if (over || dice == 0) {
            delete(object, false);
        } else if (dice == 1) {
            delete(object, true);
        } else if (dice == 2 && !saved(object)) {
            VMSnapshot cancelled = SimulatedApi.with(object, changed(object), null);
            cancelled.setSpec(spec(
                    Objects.requireNonNull(object.getSpec().mode()),
                    object.getSpec().source(),
                    true));
            snapshots.put(object.getMetadata().getName(), cancelled);
        } else if (dice == 3) {
            List<VMRestore> some = List.copyOf(restores.values());
            if (!some.isEmpty()) {
                VMRestore restore = some.get(random.nextInt(some.size()));
                restores.remove(restore.getMetadata().getName());
            }
        }
    }

    private void delete(VMSnapshot object, boolean discard) {
        boolean adopts = object.adoptedImage().isPresent();
        Truth image = images.computeIfAbsent(imageOf(object), _ -> new Truth());
        boolean bound = object.getStatus() != null && object.getStatus().getNodeName() != null;
        if (!bound) {
            snapshots.remove(object.getMetadata().getName());
            image.givenUp |= !adopts; // else its agent still tells of it
            return;
        }
        image.givenUp |= discard || (!saved(object) && !adopts);
        ObjectMetaBuilder meta = changed(object).withDeletionTimestamp(now.toString());
        if (discard) {
            meta.addToAnnotations(Torpor.DISCARD_ANNOTATION, "true");
        }
        snapshots.put(object.getMetadata().getName(), SimulatedApi.with(object, meta, null));
    }

    /** Somebody does, of an object whose image is committed: its VM is to go on without that. */
    void takeFinalizerAway(String name) {
        VMSnapshot object = Objects.requireNonNull(snapshots.remove(name));
        images.computeIfAbsent(imageOf(object), _ -> new Truth()).givenUp = true;
    }

    private ObjectMetaBuilder changed(CustomResource<?, ?> object) {
        return new ObjectMetaBuilder(object.getMetadata()).withResourceVersion(Long.toString(++versions));
    }

    // The operator, which acts on what its informers know.

    void inform() {
        informed.keySet().retainAll(snapshots.keySet());
        informedRestores.keySet().retainAll(restores.keySet());
        informedStores.clear();
        informedStores.putAll(stores);
        informedPod = pod == null ? null : pod.uid;
        informed.putAll(snapshots);
        informedRestores.putAll(restores);
    }

    /** Returns what a read gives: what is there, or with a guard left out what informers know. */
    <R> Map<String, R> seen(Map<String, R> live, Map<String, R> informers) {
        return has(Guard.LIVE_READ) ? live : informers;
    }

    /** Makes VMSnapshots of what agents saved by themselves. */
    void operatorAdopts() {
        for (NodeStore store : informedStores.values()) {
            told(store)
                    .filter(save -> !snapshots.containsKey(save.snapshotName()))
                    .forEach(save -> make(
                            save.snapshotName(),
                            spec(SaveMode.ManagedSave, new SourceSpec(save.podUID(), save.image()), false)));
        }
    }

    private void bindAdopting(VMSnapshot object) {
        for (Host host : hosts) {
            NodeStore store = stores.get(host.name);
            Optional<TerminationSave> save = store == null
                    ? Optional.empty()
                    : told(store)
                            .filter(it -> it.image().equals(imageOf(object)))
                            .findFirst();
            if (save.isPresent()) {
                if (host.agent != null) {
                    VMSnapshotStatus own = new VMSnapshotStatus();
                    own.setNodeName(host.name);
                    own.setStoreID(host.agent.storeID());
                    own.setPod(new ObjectName(POD, save.get().podUID()));
                    var _ = put(object, SimulatedApi.merged(StatusOwner.SNAPSHOT_OPERATOR, object.getStatus(), own));
                }
                return;
            }
        }
        snapshots.remove(object.getMetadata().getName()); // it failed, and somebody tidies up
    }

    void operatorBinds() {
        Pod source = pod;
        for (VMSnapshot seen : List.copyOf(informed.values())) {
            VMSnapshot object = snapshots.get(seen.getMetadata().getName());
            boolean isNew = seen.getStatus() == null || seen.getStatus().getNodeName() == null;
            if (isNew && object != null && seen.adoptedImage().isPresent() && !isChanged(object, seen)) {
                bindAdopting(object);
                return;
            }
            if (!isNew
                    || object == null
                    || seen.getMetadata().getDeletionTimestamp() != null
                    || source == null
                    || source.node == null
                    || source.terminating
                    || source.node.agent == null
                    || !source.hasQemu()
                    || waiting().isPresent()
                    || restores.values().stream().anyMatch(SimulatedApi::isActive)
                    || isChanged(object, seen)) {
                continue;
            }
            VMSnapshotStatus own = new VMSnapshotStatus();
            own.setNodeName(source.node.name);
            own.setStoreID(source.node.agent.storeID());
            own.setPod(new ObjectName(POD, source.uid));
            var _ = put(object, SimulatedApi.merged(StatusOwner.SNAPSHOT_OPERATOR, object.getStatus(), own));
            return;
        }
    }

    private boolean isChanged(CustomResource<?, ?> object, CustomResource<?, ?> seen) {
        return has(Guard.VERSION_OF_A_WRITE)
                && !object.getMetadata()
                        .getResourceVersion()
                        .equals(seen.getMetadata().getResourceVersion());
    }

    void operatorStopsSource() {
        for (VMSnapshot seen : informed.values()) {
            VMSnapshotStatus status = seen.getStatus();
            boolean due = status != null
                    && status.getPod() != null
                    && seen.getSpec().mode() == SaveMode.ManagedSave
                    && (saved(seen) || (!has(Guard.SAVED_BEFORE_DELETION) && status.getFailure() == null));
            Pod source = pod;
            if (due
                    && source != null
                    && Objects.equals(
                            status.getPod() == null ? "" : status.getPod().uid(),
                            has(Guard.UID_OF_A_DELETION) ? source.uid : informedPod)) {
                requireSaved(source);
                delete(source);
            }
        }
    }

    private void requireSaved(Pod source) {
        boolean memoryOnlyThere = source.guest == Guest.RUNNING || source.guest == Guest.PAUSED;
        boolean inAnImage = images.entrySet().stream()
                .anyMatch(image -> image.getValue().memory == source.memory
                        && (waits(image.getKey(), image.getValue()) || image.getValue().givenUp));
        if (memoryOnlyThere && !source.terminating && !inAnImage) {
            throw broken("I1: the operator stops pod " + source.uid + ", whose memory is in no image");
        }
    }

    void operatorStarts() {
        Optional<VMSnapshot> image = waiting();
        Pod target = pod;
        if (image.isEmpty()
                || target == null
                || target.terminating
                || target.uid.equals(
                        Objects.requireNonNull(image.get().getStatus().getPod()).uid())
                || restores.values().stream().anyMatch(SimulatedApi::isActive)) {
            return;
        }
        Host node = host(image.get().getStatus().getNodeName());
        if (target.node != null && target.node != node) {
            delete(target); // a person does, as the snapshot says
            return;
        }
        restoreFrom(image.get());
    }

    void restoreFrom(VMSnapshot image) {
        VMRestore restore = new VMRestore();
        String uid = name("r");
        restore.setMetadata(new ObjectMetaBuilder()
                .withNamespace(NAMESPACE)
                .withName(uid)
                .withUid(uid)
                .withResourceVersion(Long.toString(++versions))
                .withGeneration(1L)
                .withCreationTimestamp(now.toString())
                .build());
        restore.setSpec(new VMRestoreSpec(image.getMetadata().getName(), null, null, null, null));
        VMRestoreStatus own = new VMRestoreStatus();
        own.setNodeName(image.getStatus().getNodeName());
        own.setVmName(VM.name());
        own.setSnapshotUID(image.getMetadata().getUid());
        image.adoptedImage().ifPresent(own::setImageUID);
        restore.setStatus(own);
        restores.put(uid, restore);
    }

    void operatorGivesPod() {
        for (VMRestore restore : List.copyOf(restores.values())) {
            Pod target = pod;
            VMRestoreStatus status = restore.getStatus();
            String uid = restore.getMetadata().getUid();
            if (target == null) {
                continue;
            }
            if (status.getFailure() != null) {
                if (uid.equals(target.restore)) {
                    delete(target);
                }
                continue;
            }
            if (!SimulatedApi.isActive(restore) || status.getPod() != null) {
                continue;
            }
            Host node = host(status.getNodeName());
            boolean checked = Conditions.isTrue(status.getConditions(), ConditionType.IMAGE_AVAILABLE);
            if (uid.equals(target.restore)) {
                VMRestoreStatus own = new VMRestoreStatus();
                own.setNodeName(status.getNodeName());
                own.setVmName(status.getVmName());
                own.setSnapshotUID(status.getSnapshotUID());
                own.setImageUID(status.getImageUID());
                own.setPod(new ObjectName(POD, target.uid));
                var _ = put(restore, SimulatedApi.merged(StatusOwner.RESTORE_OPERATOR, status, own));
            } else if (checked
                    && !target.terminating
                    && target.restore == null
                    && !target.hasQemu()
                    && (target.node == null || target.node == node)) {
                target.gated = false;
                target.bound = node;
                target.restore = uid;
            }
        }
        if (pod != null
                && pod.restore != null
                && !restores.containsKey(pod.restore)
                && pod.guest != Guest.RUNNING
                && pod.guest != Guest.PAUSED
                && !wasHandedAnImage(pod)) {
            delete(pod); // a person does: its restore was deleted
        }
        if (pod != null && pod.gated && holding().isEmpty()) {
            pod = null; // the gate's keeper
        }
    }

    /** Its guest has its memory, so that nobody has to help it but its agent. */
    private boolean wasHandedAnImage(Pod target) {
        Host host = target.node;
        String image = target.image;
        return host != null
                && image != null
                && recordOf(host, image)
                        .filter(record -> record.state() instanceof ImageState.HandedOver)
                        .isPresent();
    }

    // Objects.

    @Nullable
    Object object(Class<?> kind, String name) {
        if (kind == NodeStore.class) {
            return stores.get(name);
        }
        return kind == VMSnapshot.class ? snapshots.get(name) : restores.get(name);
    }

    /** Writes an object's status. */
    @SuppressWarnings("unchecked") // by kind
    <R> R put(R old, @Nullable Object status) {
        if (old instanceof VMSnapshot snapshot) {
            VMSnapshot written = SimulatedApi.with(snapshot, changed(snapshot), status);
            snapshots.put(snapshot.getMetadata().getName(), written);
            return (R) written;
        }
        if (old instanceof NodeStore store) {
            NodeStore written = SimulatedApi.with(store, changed(store), status);
            stores.put(store.getMetadata().getName(), written);
            return (R) written;
        }
        VMRestore restore = (VMRestore) old;
        VMRestore written = SimulatedApi.with(restore, changed(restore), status);
        restores.put(restore.getMetadata().getName(), written);
        return (R) written;
    }

    // Faults.

    private void misfortune() {
        if (calm) {
            return;
        }
        Host host = hosts.get(random.nextInt(hosts.size()));
        switch (random.nextInt(8)) {
            case 0 -> endGuest();
            case 1 -> host.apiAway = !host.apiAway;
            case 2, 3 -> {
                if (pod != null && random.nextInt(3) == 0) {
                    delete(pod);
                }
            }
            case 4 -> now = now.plus(Duration.ofSeconds(random.nextInt(2000) - 1000));
            case 5 -> {
                if (!outside) { // else the one that acts would have to be it
                    end(host);
                    host.disk.processEnds();
                    losePower(host);
                }
            }
            case 6 -> {
                if (!outside) {
                    end(host);
                    host.disk.processEnds();
                }
            }
            default -> {
                if (pod != null && pod.guest != Guest.NONE && pod.hook == null && random.nextInt(3) == 0) {
                    pod.hook = name("h"); // its container is to be restarted
                }
            }
        }
    }

    // Checks.

    private Optional<ImageRecord> recordOf(Host host, String uid) {
        return aside(host, store -> store.record(id(uid)));
    }

    private static ImageId id(String uid) {
        return new ImageId(NAMESPACE, VM.name(), uid);
    }

    private interface Look<T> {
        T at(ImageStore store) throws TorporException;
    }

    /** Looks at a node's store without anything going wrong. */
    private <T> Optional<T> asideMaybe(Host host, Look<T> look) {
        return host.trouble.aside(() -> {
            try (ImageStore store = ImageStore.openReadOnly(host.path)) {
                return Optional.of(look.at(store));
            } catch (TorporException e) {
                return Optional.empty();
            }
        });
    }

    private <T> Optional<T> aside(Host host, Look<Optional<T>> look) {
        return asideMaybe(host, look).flatMap(found -> found);
    }

    /**
     * What status says is saved and waits must be in the store, whole, and be what was saved.
     *
     * @param read whether memory is read, too: nothing but a loss of power changes it
     */
    void requireImages(Host host, boolean read) {
        for (VMSnapshot object : snapshots.values()) {
            if (!saved(object)
                    || ManagedImages.isOver(object)
                    || isGivenUp(object)
                    || isCheckpointThatGoes(object)
                    || !host.name.equals(object.getStatus().getNodeName())) {
                continue;
            }
            requireImage(host, imageOf(object), read);
        }
        NodeStore store = stores.get(host.name);
        if (store != null) {
            told(store)
                    .filter(save -> Boolean.TRUE.equals(save.saved()))
                    .map(TerminationSave::image)
                    .filter(uid -> snapshots.values().stream()
                            .noneMatch(object -> imageOf(object).equals(uid)
                                    && object.getStatus() != null
                                    && object.getStatus().getNodeName() != null))
                    .forEach(uid -> requireImage(host, uid, read));
        }
    }

    private void requireImage(Host host, String uid, boolean read) {
        Truth image = images.get(uid);
        if (image == null) {
            throw broken("I4: image " + uid + " is said to be saved, and nothing was");
        }
        Optional<ImageRecord> record = recordOf(host, uid);
        if (record.isEmpty() || record.get().state() instanceof ImageState.Partial) {
            throw broken("I1: image " + uid + ", which is said to be saved, is "
                    + record.map(r -> r.state().word()).orElse("gone"));
        }
        boolean fresh = record.get().state() instanceof ImageState.Complete;
        if (read
                && fresh
                && !aside(host, store -> Optional.of(memoryOf(store, uid))).equals(Optional.of(image.memory))) {
            throw broken("I4: image " + uid + " is Complete, and is not what was saved");
        }
    }

    /** Nobody has to say that it is given up; its file goes before its record. */
    private static boolean isCheckpointThatGoes(VMSnapshot object) {
        return object.getSpec().mode() == SaveMode.Checkpoint
                && object.getMetadata().getDeletionTimestamp() != null;
    }

    private static int memoryOf(ImageStore store, String uid) throws TorporException {
        ByteBuffer memory = ByteBuffer.allocate(4);
        try (var files = store.open(id(uid)).openForQemu(false)) {
            files.buffered().read(memory, dev.torpor.agent.image.SampleGuest.memoryAt());
        } catch (java.io.IOException e) {
            return -1;
        }
        return memory.getInt(0);
    }

    /** No more trouble: everything comes to an end that was begun. */
    private void rest() {
        calm = true;
        // Deadlines are counted from then: a clock that was set back would put them off for longer than is waited here.
        now = Stream.concat(snapshots.values().stream(), restores.values().stream())
                .map(object -> Instant.parse(object.getMetadata().getCreationTimestamp()))
                .filter(now::isBefore)
                .max(Comparator.naturalOrder())
                .orElse(now);
        hosts.forEach(host -> {
            host.apiAway = false;
            host.trouble.disarm();
            if (random.nextBoolean()) { // else what it remembers must do as well as what it would read anew
                end(host);
                host.disk.processEnds();
                losePower(host);
            }
        });
        int still = 0;
        for (int round = 0; round < ROUNDS_TO_REST && still < 3; round++) {
            still = unrest().isEmpty() ? still + 1 : 0;
            for (int which = 0; which < USERS; which++) {
                outsider(which);
            }
            for (Host host : hosts) {
                agent(host);
                agent(host);
            }
            check();
            now = now.plusSeconds(40);
        }
        requireRest();
        hosts.forEach(host -> {
            end(host);
            host.disk.processEnds();
            losePower(host);
        });
        requireNoLeftovers();
    }

    private void requireRest() {
        unrest().ifPresent(why -> {
            throw broken("I5: " + why);
        });
    }

    /** Returns what has not come to an end, or is left over. */
    private Optional<String> unrest() {
        for (VMSnapshot object : snapshots.values()) {
            VMSnapshotStatus status = object.getStatus();
            boolean bound = status != null && status.getNodeName() != null;
            if (bound && !saved(object) && status.getFailure() == null) {
                return Optional.of("VMSnapshot " + object.getMetadata().getUid() + " comes to no end");
            }
            if (bound && isGivenUp(object)) {
                return Optional.of("VMSnapshot " + object.getMetadata().getUid() + " is given up, and stays");
            }
            if (bound
                    && object.getSpec().mode() != SaveMode.Checkpoint
                    && recordOf(host(status.getNodeName()), imageOf(object))
                            .filter(record -> record.state() instanceof ImageState.HandedOver)
                            .isPresent()) {
                return Optional.of("VMSnapshot " + object.getMetadata().getUid() + " is handed over, and never spent");
            }
        }
        for (VMRestore object : restores.values()) {
            if (SimulatedApi.isActive(object)) {
                return Optional.of("VMRestore " + object.getMetadata().getUid() + " comes to no end");
            }
        }
        if (pod == null || pod.guest != Guest.RUNNING) {
            return Optional.of("the VM does not run: "
                    + (pod == null
                            ? "no pod"
                            : pod.uid + " " + pod.guest + " gated " + pod.gated + " restore " + pod.restore));
        }
        if (waiting().isPresent()) {
            return Optional.of("VMSnapshot " + waiting().get().getMetadata().getUid() + " waits, and its VM runs");
        }
        for (NodeStore store : stores.values()) {
            Optional<TerminationSave> save = told(store).findFirst();
            if (save.isPresent()) {
                return Optional.of("node " + store.getMetadata().getName() + " tells of image "
                        + save.get().image() + ", and its VM runs");
            }
        }
        return leftovers();
    }

    private void requireNoLeftovers() {
        leftovers().ifPresent(why -> {
            throw broken("I5: " + why);
        });
    }

    /** Returns a file that nobody will ever remove. */
    private Optional<String> leftovers() {
        Map<String, VMSnapshot> there = new HashMap<>();
        snapshots.values().forEach(object -> there.put(imageOf(object), object));
        for (Host host : hosts) {
            for (String path : host.disk.files().keySet()) {
                String file = path.substring(path.lastIndexOf('/') + 1);
                VMSnapshot object = there.get(file.replaceAll("^\\.|\\..*$", ""));
                // A save of a pod's end has a name of its own: what is left of its record before that was there is a
                // few bytes.
                boolean prepared = file.startsWith(".") && file.endsWith(".json.new") && file.contains("-t");
                if (path.startsWith("/images/") && object == null && !prepared) {
                    return Optional.of("file " + path + " of node " + host.name + " is nobody's");
                }
                boolean consumed = object != null
                        && recordOf(host, imageOf(object))
                                .filter(record -> record.state() instanceof ImageState.Consumed)
                                .isPresent();
                if (consumed && file.endsWith(".img")) {
                    return Optional.of("file " + path + " of node " + host.name + " was consumed, and is there");
                }
            }
        }
        return Optional.empty();
    }
}
