package dev.torpor.agent.work;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** The API as one agent of a simulation reads and writes it. Objects are never changed in place. */
final class SimulatedApi implements Cluster, StatusWriter, StorePublisher.Api {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final SimulatedWorld world;
    private final SimulatedWorld.Host host;

    SimulatedApi(SimulatedWorld world, SimulatedWorld.Host host) {
        this.world = world;
        this.host = host;
    }

    /** What happens on the way of each request: others act meanwhile, and some requests fail. */
    private boolean answerIsLost() {
        world.meanwhile();
        Optional<SimulatedTrouble.Kind> trouble = host.trouble.at(SimulatedTrouble.Place.API);
        if (host.apiAway || trouble.equals(Optional.of(SimulatedTrouble.Kind.API_AWAY))) {
            throw new KubernetesClientException("the API server does not answer");
        }
        return trouble.isPresent();
    }

    private void read() {
        if (answerIsLost()) {
            throw new KubernetesClientException("the answer is lost");
        }
    }

    @Override
    public Optional<VMSnapshot> snapshot(String namespace, String name) {
        read();
        return Optional.ofNullable(world.snapshots.get(name));
    }

    @Override
    public Optional<VMSnapshot> snapshotOf(ImageId image) {
        return world.informed.values().stream()
                .filter(object -> SimulatedWorld.imageOf(object).equals(image.uid()))
                .findFirst();
    }

    @Override
    public Optional<VMRestore> restore(String namespace, String name) {
        read();
        return Optional.ofNullable(world.restores.get(name));
    }

    @Override
    public Optional<VMSnapshotClassSpec> snapshotClass(String name) {
        return Optional.empty();
    }

    @Override
    public Optional<VMSnapshotClassSpec> defaultClass() {
        return Optional.empty();
    }

    @Override
    public List<StartFacts.ActiveRestore> activeRestores(VmName vm) {
        read();
        List<StartFacts.ActiveRestore> active = new ArrayList<>();
        for (VMRestore restore :
                world.seen(world.restores, world.informedRestores).values()) {
            if (isActive(restore)) {
                active.add(new StartFacts.ActiveRestore(
                        restore.getMetadata().getName(),
                        restore.getMetadata().getUid(),
                        Optional.ofNullable(restore.getStatus().getPod()).map(ObjectName::uid)));
            }
        }
        return active;
    }

    static boolean isActive(VMRestore restore) {
        VMRestoreStatus status = restore.getStatus();
        return restore.getMetadata().getDeletionTimestamp() == null
                && status.getFailure() == null
                && !Conditions.isTrue(status.getConditions(), ConditionType.RESUMED)
                && !Conditions.isTrue(status.getConditions(), ConditionType.STALLED);
    }

    @Override
    public List<VMRestore> restoresOf(VmName vm) {
        read();
        return List.copyOf(world.seen(world.restores, world.informedRestores).values());
    }

    @Override
    public List<VMSnapshot> snapshotsOf(VmName vm) {
        read();
        return List.copyOf(world.seen(world.snapshots, world.informed).values());
    }

    @Override
    public Optional<LivePod> livePod(VmName vm, String podUID) {
        read();
        SimulatedWorld.Pod pod = world.pod;
        return pod == null || !pod.uid.equals(podUID) || pod.terminating
                ? Optional.empty()
                : Optional.of(new LivePod(Optional.ofNullable(pod.restore)));
    }

    @Override
    public Optional<TerminationDecision.PodEnd> podEnd(VmName vm, String podUID) {
        read();
        SimulatedWorld.Pod pod = world.pod;
        return pod == null || !pod.uid.equals(podUID)
                ? Optional.empty()
                : Optional.of(new TerminationDecision.PodEnd(
                        vm.name(),
                        Optional.of(pod.killAt).filter(_ -> pod.terminating),
                        SimulatedWorld.GRACE_SECONDS,
                        pod.disrupted && pod.terminating,
                        pod.policy));
    }

    @Override
    public boolean nodeGoesDown() {
        return false;
    }

    @Override
    public List<NodeStore> nodeStores() {
        read();
        return List.copyOf(world.seen(world.stores, world.informedStores).values());
    }

    @Override
    public Optional<String> nodeUID() {
        read();
        return Optional.of(host.name);
    }

    @Override
    public Optional<NodeStore> nodeStore() {
        read();
        return Optional.ofNullable(world.stores.get(host.name));
    }

    @Override
    public NodeStore made(NodeStore object) {
        boolean lost = answerIsLost();
        NodeStore there = world.stores.get(host.name);
        if (there == null) {
            object.getMetadata().setUid("store of " + host.name);
            there = world.put(object, null);
        }
        if (lost) {
            throw new KubernetesClientException("the answer is lost");
        }
        return there;
    }

    @Override
    public boolean podIsLive(String namespace, String name, String uid) {
        read();
        SimulatedWorld.Pod pod = world.pod;
        return pod != null && pod.uid.equals(uid);
    }

    @Override
    public void tellGuest(
            String namespace, String name, String podUID, GuestState state, Optional<Instant> changedAt) {}

    @Override
    public boolean removeFinalizer(VMSnapshot seen) {
        boolean lost = answerIsLost();
        String name = seen.getMetadata().getName();
        VMSnapshot now = world.snapshots.get(name);
        if (now != null
                && (!isSame(now, seen) || world.conflicts(seen.getMetadata().getUid() + " finalizer"))) {
            return false;
        }
        world.snapshots.remove(name);
        if (lost) {
            throw new KubernetesClientException("the answer is lost");
        }
        return true;
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
        if (part(owner, JSON.valueToTree(own)).equals(part(owner, JSON.valueToTree(seen.getStatus())))) {
            return new WriteResult.Unchanged<>();
        }
        boolean lost = answerIsLost();
        R now = owner.kind().cast(world.object(owner.kind(), seen.getMetadata().getName()));
        if (now == null) {
            return new WriteResult.Gone<>();
        }
        if (!isSame(now, seen) || world.conflicts(seen.getMetadata().getUid() + whatItSays(own))) {
            return new WriteResult.Stale<>("the object has been modified");
        }
        R written = world.put(now, merged(owner, now.getStatus(), own));
        if (lost) {
            throw new KubernetesClientException("the answer is lost");
        }
        return new WriteResult.Written<>(written);
    }

    private static String whatItSays(Object status) {
        StringBuilder says = new StringBuilder();
        JSON.valueToTree(status).path("conditions").forEach(condition -> says.append(' ')
                .append(condition.path("type").asText())
                .append(' ')
                .append(condition.path("status").asText())
                .append(' ')
                .append(condition.path("reason").asText()));
        return says.toString();
    }

    private boolean isSame(CustomResource<?, ?> now, CustomResource<?, ?> seen) {
        return !world.has(SimulatedWorld.Guard.VERSION_OF_A_WRITE)
                || Objects.equals(
                        now.getMetadata().getResourceVersion(),
                        seen.getMetadata().getResourceVersion());
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
        return transition(owner, seen, own);
    }

    /** Returns a status with one owner's part in the place of the old one. */
    static <R extends CustomResource<?, S>, S> S merged(StatusOwner<R, S> owner, @Nullable S before, S own) {
        ObjectNode all = before == null ? JSON.createObjectNode() : JSON.valueToTree(before);
        ObjectNode mine = JSON.valueToTree(own);
        all.remove(owner.fields());
        ArrayNode conditions = JSON.createArrayNode();
        all.path("conditions").forEach(condition -> {
            if (!owner.conditions().contains(condition.path("type").asText())) {
                conditions.add(condition);
            }
        });
        mine.path("conditions").forEach(conditions::add);
        owner.fields().forEach(field -> {
            if (mine.hasNonNull(field)) {
                all.set(field, mine.get(field));
            }
        });
        all.set("conditions", conditions);
        @SuppressWarnings("unchecked")
        Class<S> type = (Class<S>) own.getClass();
        return JSON.convertValue(all, type);
    }

    private static Set<String> part(StatusOwner<?, ?> owner, JsonNode status) {
        Set<String> part = new TreeSet<>();
        owner.fields().forEach(field -> {
            if (status.hasNonNull(field)) {
                part.add(field + "=" + status.get(field));
            }
        });
        status.path("conditions").forEach(condition -> {
            if (owner.conditions().contains(condition.path("type").asText())) {
                part.add(condition.toString());
            }
        });
        return part;
    }

    /** Returns a copy of an object with another version and status. */
    static VMSnapshot with(VMSnapshot old, ObjectMetaBuilder meta, @Nullable Object status) {
        VMSnapshot object = new VMSnapshot();
        object.setMetadata(meta.build());
        object.setSpec(old.getSpec());
        object.setStatus(status == null ? old.getStatus() : (dev.torpor.api.v1alpha1.VMSnapshotStatus) status);
        return object;
    }

    /** The same for what a node tells. */
    static NodeStore with(NodeStore old, ObjectMetaBuilder meta, @Nullable Object status) {
        NodeStore object = new NodeStore();
        object.setMetadata(meta.build());
        object.setStatus(status == null ? old.getStatus() : (NodeStoreStatus) status);
        return object;
    }

    /** The same for a restore. */
    static VMRestore with(VMRestore old, ObjectMetaBuilder meta, @Nullable Object status) {
        VMRestore object = new VMRestore();
        object.setMetadata(meta.build());
        object.setSpec(old.getSpec());
        object.setStatus(status == null ? old.getStatus() : (VMRestoreStatus) status);
        return object;
    }
}
