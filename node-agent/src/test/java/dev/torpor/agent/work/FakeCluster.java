package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import io.fabric8.kubernetes.client.CustomResource;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * A cluster with some VMSnapshots, of which nobody reads the status that is written here.
 *
 * @param snapshots finds one by its name, which is its UID too where there are several; null if there is none
 * @param told what it was told of guests: pod, state, and since when
 * @param restores that there are
 * @param written parts of status that were written
 * @param gone pods that are not there, by UID
 * @param letGo names of objects whose finalizer was removed
 * @param ends how pods end, by UID; the others are gone
 * @param defaults what the default class says, if there is one
 */
record FakeCluster(
        Function<String, @Nullable VMSnapshot> snapshots,
        List<String> told,
        List<VMRestore> restores,
        List<Object> written,
        List<String> gone,
        List<String> letGo,
        Map<String, TerminationDecision.PodEnd> ends,
        List<VMSnapshotClassSpec> defaults)
        implements Cluster, StatusWriter {
    FakeCluster(VMSnapshot only) {
        this(_ -> only);
    }

    FakeCluster(Function<String, @Nullable VMSnapshot> snapshots) {
        this(
                snapshots,
                new CopyOnWriteArrayList<>(),
                new CopyOnWriteArrayList<>(),
                new CopyOnWriteArrayList<>(),
                new CopyOnWriteArrayList<>(),
                new CopyOnWriteArrayList<>(),
                new ConcurrentHashMap<>(),
                new CopyOnWriteArrayList<>());
    }

    @Override
    public Optional<VMSnapshot> snapshot(String namespace, String name) {
        return Optional.ofNullable(snapshots.apply(name));
    }

    @Override
    public Optional<VMSnapshot> snapshotOf(ImageId image) {
        return Optional.ofNullable(snapshots.apply(image.uid()));
    }

    @Override
    public Optional<VMRestore> restore(String namespace, String name) {
        return restores.stream()
                .filter(restore -> restore.getMetadata().getName().equals(name))
                .findFirst();
    }

    @Override
    public Optional<VMSnapshotClassSpec> snapshotClass(String name) {
        return Optional.empty();
    }

    @Override
    public Optional<VMSnapshotClassSpec> defaultClass() {
        return defaults.stream().findFirst();
    }

    @Override
    public List<StartFacts.ActiveRestore> activeRestores(VmName vm) {
        return List.of();
    }

    @Override
    public List<VMRestore> restoresOf(VmName vm) {
        return restores;
    }

    @Override
    public List<VMSnapshot> snapshotsOf(VmName vm) {
        return snapshot("", "")
                .filter(snapshot -> snapshot.getSpec() != null
                        && vm.name().equals(snapshot.getSpec().vmName()))
                .map(List::of)
                .orElseGet(List::of);
    }

    @Override
    public Optional<LivePod> livePod(VmName vm, String podUID) {
        return Optional.of(new LivePod(Optional.empty()));
    }

    @Override
    public Optional<TerminationDecision.PodEnd> podEnd(VmName vm, String podUID) {
        return Optional.ofNullable(ends.get(podUID));
    }

    @Override
    public boolean nodeGoesDown() {
        return false;
    }

    @Override
    public List<NodeStore> nodeStores() {
        return List.of();
    }

    @Override
    public boolean podIsLive(String namespace, String name, String uid) {
        return !gone.contains(uid);
    }

    @Override
    public void tellGuest(String namespace, String name, String podUID, GuestState state, Optional<Instant> changedAt) {
        told.add("%s/%s %s %s %s"
                .formatted(
                        namespace,
                        name,
                        podUID,
                        state,
                        changedAt.map(Instant::toString).orElse("as before")));
    }

    @Override
    public boolean removeFinalizer(VMSnapshot seen) {
        letGo.add(seen.getMetadata().getName());
        return true;
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
        if (seen instanceof VMSnapshot
                && snapshot("", seen.getMetadata().getName()).isEmpty()) {
            return new WriteResult.Gone<>();
        }
        written.add(own);
        return new WriteResult.Written<>(seen);
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
        return new WriteResult.Written<>(seen);
    }
}
