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
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.PodGate;
import dev.torpor.operator.vm.Terminations;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmName;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfigurationBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * All but the operator: a mock API server, admission, garbage collector, StatefulSet {@code web}, scheduler and kubelet of node
 * {@code n1}, and its agent. It knows for itself whether VM {@code web} has its memory in an image, and fails where that VM boots without it.
 */
final class World {
    private static final int TURNS_MAX = 80;

    /** What people and controllers of others do, once things have come to rest; again until it says that it is done. */
    interface Deed {
        boolean done(World world) throws Exception;
    }

    private final Connections connections;
    private final KubernetesClient client;
    private final TestCluster cluster;
    private final MergeStatusWriter agent;
    private final Set<String> mountedPods = new HashSet<>();
    private boolean statefulSet;
    private boolean savesTake;
    private @Nullable String savesFail;
    private @Nullable String startsFail;
    private boolean memoryInImage;
    private int resumes;
    private int lives;
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
        connections.steps().afterEach(this::admit);
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
            cluster.renewLease();
            quiet = done && connections.changes() == before ? quiet + 1 : 0;
            if (quiet == 2) {
                return;
            }
        }
        throw new AssertionError("it does not come to rest:\n" + state());
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
        if (statefulSet && pods().isEmpty()) {
            Pod next = TestPods.ofStatefulSet("web-0", "")
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
        assertThat(pods()).as("live pods of one VM").hasSizeLessThanOrEqualTo(1);
        pods().stream()
                .filter(pod -> pod.getSpec().getNodeName() == null && !PodGate.holds(pod))
                .forEach(this::start);
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
        Stream.concat(
                        restores().stream(),
                        client.apps().controllerRevisions().inNamespace("vms").list().getItems().stream())
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
        if (saved || status.getFailure() != null) {
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
        } else {
            memoryInImage = snapshot.getSpec().mode() != SaveMode.Checkpoint;
            own.setConditions(List.of(
                    condition(ConditionType.SAVED, true, "Committed"),
                    condition(ConditionType.IMAGE_AVAILABLE, true, "Committed")));
        }
        var _ = agent.news(StatusOwner.SNAPSHOT_AGENT, snapshot, own);
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

    List<VMRestore> restores() {
        return client.resources(VMRestore.class).inNamespace("vms").list().getItems();
    }

    /** Returns all that is left, without what differs from run to run: UIDs, versions and times. */
    String state() {
        Map<String, String> all = new TreeMap<>();
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
        objects.addAll(client.nodes().list().getItems());
        for (HasMetadata object : objects) {
            object.getMetadata().setResourceVersion(null);
            object.getMetadata().setGeneration(null);
            all.put(
                    general(object.getKind() + "/" + object.getMetadata().getName()),
                    general(Serialization.asJson(object)));
        }
        return "image waits: " + memoryInImage + ", resumes: " + resumes + "\n"
                + all.entrySet().stream()
                        .map(each -> each.getKey() + " " + each.getValue())
                        .collect(Collectors.joining("\n"));
    }

    private static String general(String text) {
        return text.replaceAll("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID")
                .replaceAll("web-[0-9a-f]{8}", "web-UID")
                .replaceAll("\\d{4}-\\d\\d-\\d\\dT[0-9:.]+Z", "TIME");
    }
}
