package dev.torpor.operator.death;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.FailureStatus;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.api.v1alpha1.VolumeSnapshotName;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.NodeLeave;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmName;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.PersistentVolumeClaimBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.ResourceDefinitionContext;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * All but the operator: a mock API server, admission, garbage collector, StatefulSet {@code web}, scheduler and kubelet of node
 * {@code n1}, and its agent. It knows for itself whether VM {@code web} has its memory in an image, and fails where that VM boots without it.
 */
final class World {
    private static final int TURNS_MAX = 80;
    /** Half of what a lease lasts: each renewal is three requests. */
    private static final int LEASE_SECONDS = 20;

    private static final ResourceDefinitionContext VOLUME_SNAPSHOT = new ResourceDefinitionContext.Builder()
            .withGroup("snapshot.storage.k8s.io")
            .withVersion("v1")
            .withKind("VolumeSnapshot")
            .withPlural("volumesnapshots")
            .withNamespaced(true)
            .build();

    /** What people and controllers of others do, once things have come to rest; again until it says that it is done. */
    interface Deed {
        boolean done(World world) throws Exception;

        /** Both at once. */
        default Deed and(Deed other) {
            return world -> done(world) && other.done(world);
        }
    }

    private final Connections connections;
    private final KubernetesClient client;
    private final TestCluster cluster;
    private final MergeStatusWriter agent;
    private final Set<String> mountedPods = new HashSet<>();
    private boolean statefulSet;
    private boolean savesTake;
    private @Nullable String savesFail;
    private boolean shutdownsTake;
    private @Nullable String cutsFail;
    private int pausesLost;
    private boolean claims;
    private boolean podIsReplaced;
    private boolean memoryMayGo;
    private boolean guestPaused;
    private String template = "first";
    private @Nullable String running;
    private @Nullable String shutDown;
    private @Nullable String startsFail;
    private boolean memoryInImage;
    private int resumes;
    private int boots;
    private int lives;
    private Instant renewed;
    private Life life;

    /** Empties the server, and puts a running VM there. */
    World(Connections connections, boolean statefulSet) {
        this.connections = connections;
        this.statefulSet = statefulSet;
        this.client = connections.others();
        connections.reset();
        this.cluster = new TestCluster(client);
        this.agent = new MergeStatusWriter(client);
        client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withName("vms")
                        .endMetadata()
                        .build())
                .create();
        client.resource(new ValidatingWebhookConfigurationBuilder()
                        .withNewMetadata()
                        .withName("torpor")
                        .endMetadata()
                        .addNewWebhook()
                        .withName("evictions.torpor.dev")
                        .endWebhook()
                        .build())
                .create();
        client.resource(
                        statefulSet
                                ? TestPods.ofStatefulSet("web-0", "").build()
                                : TestPods.running("web-0", "").build())
                .create();
        running = pods().getFirst().getMetadata().getUid();
        renewed = cluster.clock().instant();
        connections.steps().afterEach(this::stepped);
        this.life = new Life(connections.operator(), cluster.clock(), connections.steps());
        lives = 1;
    }

    TestCluster cluster() {
        return cluster;
    }

    KubernetesClient client() {
        return client;
    }

    Life operator() {
        return life;
    }

    /** Returns how many operators there were. */
    int lives() {
        return lives;
    }

    /** From now on saves go on and on, or come to their end again. */
    void savesTake(boolean on) {
        savesTake = on;
    }

    /** From now on saves fail, for this reason; null: no more. */
    void savesFail(@Nullable String reason) {
        savesFail = reason;
    }

    /** From now on guests that are to shut down take their time, or do it. */
    void shutdownsTake(boolean on) {
        shutdownsTake = on;
    }

    /** Pauses for VolumeSnapshots end without an image as soon as there is one, for this reason. */
    void cutsFail(String reason) {
        cutsFail = reason;
    }

    /** So many agents die in such a pause as soon as there is one; each next one pauses the guest anew. */
    void pausesAreLost(int times) {
        pausesLost = times;
    }

    /** As soon as the manifest of a pod is recorded for the first time, somebody has it made again from another template. */
    void podIsReplaced() {
        podIsReplaced = true;
    }

    /** The VM's pod has these PersistentVolumeClaims. */
    void haveClaims(String... names) {
        claims = true;
        for (String name : names) {
            client.resource(new PersistentVolumeClaimBuilder()
                            .withNewMetadata()
                            .withNamespace("vms")
                            .withName(name)
                            .endMetadata()
                            .build())
                    .create();
            client.pods().inNamespace("vms").withName("web-0").edit(pod -> new PodBuilder(pod)
                    .editSpec()
                    .addNewVolume()
                    .withName(name)
                    .withNewPersistentVolumeClaim()
                    .withClaimName(name)
                    .endPersistentVolumeClaim()
                    .endVolume()
                    .endSpec()
                    .build());
        }
    }

    /** From now on a running VM may be stopped without its memory. */
    void memoryMayGo() {
        memoryMayGo = true;
    }

    /** The next start fails, for this reason. */
    void startsFail(@Nullable String reason) {
        startsFail = reason;
    }

    /** The agent has saved the VM by itself, or somebody gave its memory up. */
    void memoryIsInImage(boolean on) {
        memoryInImage = on;
    }

    /** Returns how often the VM's memory was resumed. */
    int resumes() {
        return resumes;
    }

    /** Lets each deed be done, and everything come to rest after it. */
    void run(List<Deed> deeds) throws Exception {
        settle(w -> true);
        for (Deed deed : deeds) {
            settle(deed);
        }
    }

    private void settle(Deed deed) throws Exception {
        boolean done = false;
        int quiet = 0;
        for (int turn = 0; turn < TURNS_MAX; turn++) {
            int before = connections.changes();
            try {
                done = done || deed.done(this);
                life.round();
            } catch (Death e) {
                life = new Life(connections.operator(), cluster.clock(), connections.steps());
                lives++;
            }
            act();
            cluster.later(1);
            if (!cluster.clock().instant().isBefore(renewed.plusSeconds(LEASE_SECONDS))) {
                cluster.renewLease();
                renewed = cluster.clock().instant();
            }
            quiet = done && connections.changes() == before ? quiet + 1 : 0;
            if (quiet == 2) {
                return;
            }
        }
        throw new AssertionError("it does not come to rest:\n" + state());
    }

    private void stepped(Step step) {
        switch (step) {
            case SNAPSHOT_CREATE_POD, RESTORE_CREATE_POD -> admit();
            case SNAPSHOT_RECORD_MANIFEST -> {
                if (podIsReplaced) {
                    podIsReplaced = false;
                    template = "second";
                    memoryMayGo();
                    pods().forEach(pod -> client.resource(pod).delete());
                    // What the operator saw of it is old.
                    snapshots().forEach(snapshot -> client.resource(snapshot).edit(seen -> {
                        seen.getMetadata().setAnnotations(Map.of("example.com/seen", "yes"));
                        return seen;
                    }));
                }
            }
            // The mock server keeps what a merge patch takes away: entries of lists, and of maps as null.
            case SNAPSHOT_REMOVE_FINALIZER ->
                snapshots().stream()
                        .filter(snapshot -> snapshot.getMetadata().getDeletionTimestamp() != null)
                        .forEach(snapshot -> {
                            snapshot.getMetadata().getFinalizers().remove(Torpor.IMAGE_FINALIZER);
                            client.resource(snapshot).update();
                        });
            case DRAIN_RECALL_SHUTDOWN ->
                snapshots().forEach(snapshot -> client.resource(snapshot).edit(seen -> {
                    seen.getMetadata().getAnnotations().values().removeIf(Objects::isNull);
                    return seen;
                }));
            default -> {
                // no pod comes or goes
            }
        }
    }

    /** Holds pods as the webhook does, in the same moment in which they are made. */
    private void admit() {
        for (Pod pod : pods()) {
            if (mountedPods.add(pod.getMetadata().getUid()) && pod.getSpec().getNodeName() == null) {
                var holding = new ManagedImages(client).holding(new VmName("vms", "web"));
                if (holding.isPresent() && !PodGate.holds(pod)) {
                    client.resource(PodGate.hold(pod, holding.get().nodeName())).update();
                }
            }
        }
    }

    private void act() {
        collectGarbage();
        List<Pod> before = pods();
        if (running != null
                && before.stream().noneMatch(pod -> pod.getMetadata().getUid().equals(running))) {
            if (!memoryInImage && !memoryMayGo && !running.equals(shutDown)) {
                throw new AssertionError("VM web was stopped and is not saved:\n" + state());
            }
            running = null;
        }
        if (statefulSet && before.isEmpty()) {
            Pod next = TestPods.ofStatefulSet("web-0", "")
                    .editMetadata()
                    .addToAnnotations("example.com/template", template)
                    .endMetadata()
                    .editSpec()
                    .withNodeName(null)
                    .endSpec()
                    .withNewStatus()
                    .withPhase("Pending")
                    .endStatus()
                    .build();
            client.resource(next).create();
        }
        admit();
        List<Pod> live = pods();
        assertThat(live).as("live pods of one VM").hasSizeLessThanOrEqualTo(1);
        live.stream()
                .filter(pod -> pod.getSpec().getNodeName() == null && !PodGate.holds(pod))
                .forEach(this::start);
        if (claims) {
            cut();
        }
        snapshots().forEach(this::save);
        tellNoMore();
        restores().forEach(this::restore);
    }

    private void start(Pod pod) {
        String mark = pod.getMetadata().getAnnotations().get(Torpor.RESTORE_ANNOTATION);
        boolean fed = restores().stream()
                .anyMatch(restore -> restore.getMetadata().getUid().equals(mark));
        if (memoryInImage && !fed) {
            throw new AssertionError("VM web boots cold:\n" + state());
        }
        if (NodeLeave.isCordoned(
                Objects.requireNonNull(client.nodes().withName("n1").get()))) {
            return;
        }
        running = pod.getMetadata().getUid();
        if (!fed) {
            boots++;
        }
        client.resource(new PodBuilder(pod)
                        .editSpec()
                        .withNodeName("n1")
                        .endSpec()
                        .withStatus(TestPods.running("web-0", "").buildStatus())
                        .build())
                .update();
    }

    private void collectGarbage() {
        Set<String> there = snapshots().stream()
                .map(snapshot -> snapshot.getMetadata().getUid())
                .collect(Collectors.toSet());
        Stream.of(
                        restores(),
                        client.apps()
                                .controllerRevisions()
                                .inNamespace("vms")
                                .list()
                                .getItems(),
                        claims ? volumeSnapshots() : List.<HasMetadata>of())
                .flatMap(List::stream)
                .filter(object -> object.getMetadata().getOwnerReferences().stream()
                        .anyMatch(owner -> !there.contains(owner.getUid())))
                .forEach(object -> client.resource(object).delete());
    }

    // An agent tells of a save of its own until status of its VMSnapshot does.
    private void tellNoMore() {
        if (snapshots().stream()
                .anyMatch(snapshot -> snapshot.getStatus() != null
                        && Terminations.isAdopting(snapshot)
                        && Conditions.isTrue(snapshot.getStatus().getConditions(), ConditionType.SAVED))) {
            client.resources(NodeStore.class).list().getItems().forEach(store -> client.resource(store)
                    .delete());
        }
    }

    private void save(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        if (status == null || status.getNodeName() == null) {
            return;
        }
        boolean saved = Conditions.isTrue(status.getConditions(), ConditionType.SAVED);
        boolean deleted = snapshot.getMetadata().getDeletionTimestamp() != null;
        if (deleted) {
            if (!saved || !ManagedImages.waits(snapshot)) {
                memoryInImage &= !saved;
                snapshot.getMetadata().getFinalizers().remove(Torpor.IMAGE_FINALIZER);
                client.resource(snapshot).update();
            }
            return;
        }
        if (saved) {
            return;
        }
        if (status.getFailure() != null) {
            shutDown(snapshot);
            return;
        }
        boolean cancelled = Boolean.TRUE.equals(snapshot.getSpec().cancel());
        VMSnapshotStatus own = new VMSnapshotStatus();
        if (cancelled || savesFail != null) {
            own.setFailure(new FailureStatus(
                    cancelled ? "Cancelled" : Objects.requireNonNull(savesFail), "Nothing was done. The VM runs."));
            own.setConditions(List.of(condition(ConditionType.SAVED, false, "Failed")));
        } else if (savesTake
                || status.getConditions() == null
                || Conditions.find(status.getConditions(), ConditionType.SAVED).isEmpty()) {
            own.setConditions(List.of(condition(ConditionType.SAVED, false, "Saving")));
        } else if (status.getVolumeSnapshots() != null && !areCut(snapshot)) {
            own.setConditions(List.of(condition(ConditionType.SAVED, false, "Saving")));
            own.setPausedAt(status.getPausedAt());
            boolean begun = status.getPausedAt() != null && !volumeSnapshots().isEmpty();
            if (begun && cutsFail != null) {
                own.setPausedAt(null);
                own.setFailure(new FailureStatus(cutsFail, "Nothing was done. The VM runs."));
            } else if (status.getPausedAt() == null || (begun && pausesLost > 0)) {
                pausesLost -= begun ? 1 : 0;
                own.setPausedAt(
                        cluster.clock().instant().truncatedTo(ChronoUnit.MILLIS).toString());
            }
            guestPaused = own.getPausedAt() != null;
        } else {
            guestPaused = false;
            memoryInImage = snapshot.getSpec().mode() != SaveMode.Checkpoint;
            own.setConditions(List.of(
                    condition(ConditionType.SAVED, true, "Committed"),
                    condition(ConditionType.IMAGE_AVAILABLE, true, "Committed")));
        }
        var _ = agent.news(StatusOwner.SNAPSHOT_AGENT, snapshot, own);
    }

    /** Whether all disks are cut, of this pause and no other. */
    private static boolean areCut(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        String pausedAt = status.getPausedAt();
        return pausedAt != null
                && Objects.requireNonNull(status.getVolumeSnapshots()).stream()
                        .allMatch(cut -> cut.creationTime() != null
                                && VolumeSnapshotName.of(
                                                snapshot.getMetadata().getUid(),
                                                Objects.requireNonNull(cut.claimName()),
                                                pausedAt)
                                        .equals(cut.name()));
    }

    /** The storage cuts at one turn, and is ready with it at the next. */
    private void cut() {
        for (GenericKubernetesResource cut : volumeSnapshots()) {
            Boolean ready = cut.get("status", "readyToUse");
            if (!Boolean.TRUE.equals(ready) && cutsFail == null) {
                cut.setAdditionalProperty(
                        "status", Map.of("creationTime", "2026-01-02T03:04:06Z", "readyToUse", ready != null));
                client.resource(cut).update();
            }
        }
    }

    /** An agent shuts a VM down that cannot be saved, if it is asked to. */
    private void shutDown(VMSnapshot failed) {
        var conditions = failed.getStatus().getConditions();
        String said = Objects.requireNonNullElse(Conditions.reason(conditions, ConditionType.SHUT_DOWN), "");
        String wish = failed.getMetadata().getAnnotations() == null
                ? null
                : failed.getMetadata().getAnnotations().get(Torpor.SHUT_DOWN_ANNOTATION);
        String say;
        if (wish == null) {
            say = said.isEmpty() ? "" : "Recalled";
        } else if (said.isEmpty() || said.equals("Recalled")) {
            say = "Asked";
        } else {
            say = shutdownsTake ? said : "Ended";
        }
        if (say.equals(said)) {
            return;
        }
        if (say.equals("Ended")) {
            shutDown = running;
        }
        VMSnapshotStatus own = new VMSnapshotStatus();
        own.setFailure(failed.getStatus().getFailure());
        own.setConditions(List.of(
                condition(ConditionType.SAVED, false, "Failed"),
                condition(ConditionType.SHUT_DOWN, say.equals("Ended"), say)));
        var _ = agent.news(StatusOwner.SNAPSHOT_AGENT, failed, own);
    }

    private void restore(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        if (status == null
                || status.getNodeName() == null
                || status.getFailure() != null
                || Conditions.isTrue(status.getConditions(), ConditionType.RESUMED)) {
            return;
        }
        VMRestoreStatus own = new VMRestoreStatus();
        Condition checked = condition(ConditionType.IMAGE_AVAILABLE, true, "Checked");
        own.setConditions(List.of(checked));
        boolean runs = pods().stream()
                .anyMatch(pod -> pod.getSpec().getNodeName() != null
                        && restore.getMetadata()
                                .getUid()
                                .equals(pod.getMetadata().getAnnotations().get(Torpor.RESTORE_ANNOTATION)));
        if (runs && status.getPod() != null) {
            if (startsFail != null) {
                own.setFailure(new FailureStatus(startsFail, "It did not work. The image is safe."));
                startsFail = null;
            } else {
                own.setConditions(List.of(checked, condition(ConditionType.RESUMED, true, "Running")));
                own.setCompletionTime("2026-01-02T03:05:00Z");
                assertThat(memoryInImage).as("resumed from an image that waits").isTrue();
                memoryInImage = false;
                resumes++;
            }
        }
        var _ = agent.news(StatusOwner.RESTORE_AGENT, restore, own);
    }

    private static Condition condition(String type, boolean status, String reason) {
        return Conditions.next(null, type, status, reason, "", 1L, Instant.EPOCH);
    }

    List<Pod> pods() {
        return client.pods().inNamespace("vms").list().getItems();
    }

    List<VMSnapshot> snapshots() {
        return client.resources(VMSnapshot.class).inNamespace("vms").list().getItems();
    }

    private List<GenericKubernetesResource> volumeSnapshots() {
        return client.genericKubernetesResources(VOLUME_SNAPSHOT)
                .inNamespace("vms")
                .list()
                .getItems();
    }

    List<VMRestore> restores() {
        return client.resources(VMRestore.class).inNamespace("vms").list().getItems();
    }

    /** Returns all that is left, without what differs from run to run: UIDs, versions and times. */
    String state() {
        List<String> all = new ArrayList<>();
        List<HasMetadata> objects = new ArrayList<>();
        objects.addAll(snapshots());
        objects.addAll(restores());
        objects.addAll(pods());
        objects.addAll(
                client.apps().controllerRevisions().inNamespace("vms").list().getItems());
        objects.addAll(client.policy()
                .v1()
                .podDisruptionBudget()
                .inNamespace("vms")
                .list()
                .getItems());
        objects.addAll(volumeSnapshots());
        objects.addAll(client.nodes().list().getItems());
        for (HasMetadata object : objects) {
            object.getMetadata().setResourceVersion(null);
            object.getMetadata().setGeneration(null);
            all.add(general(
                    object.getKind() + "/" + object.getMetadata().getName() + " " + Serialization.asJson(object)));
        }
        return "image waits: " + memoryInImage + ", resumes: " + resumes + ", boots: " + boots
                + (guestPaused ? ", paused" : "") + "\n"
                + all.stream().sorted().collect(Collectors.joining("\n"));
    }

    static String general(String text) {
        return text.replaceAll("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID")
                .replaceAll("web-[0-9a-f]{8}", "web-UID")
                .replaceAll("(data|logs)-[0-9a-f]{10}", "$1-CUT")
                .replaceAll("\"resourceVersion\":\"\\d+\"", "\"resourceVersion\":\"VERSION\"")
                .replaceAll("\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z", "TIME");
    }
}
