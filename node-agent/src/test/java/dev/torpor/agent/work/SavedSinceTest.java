package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A guest is saved for good before what an older image left to do for it is done: it must not run on over the new one. On a real
 * store and journal.
 */
class SavedSinceTest {
    private static final ImageId OLD = new ImageId("vms", "web", "u1");
    private static final ImageId NEW = new ImageId("vms", "web", "u2");
    private static final VmName VM = new VmName("vms", "web");
    private static final ProcessIdentity RESUMED = new ProcessIdentity("p2", "c2", "boot", 2, 2);

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);
    private final Map<String, VMSnapshot> snapshots = new ConcurrentHashMap<>();
    private final FakeCluster cluster = new FakeCluster(snapshots::get);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private VmJournal journal;

    @BeforeEach
    void open() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        journal = new VmJournal(store.directory());
        vms.writesSample = true;
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void itsRestoreIsDeleted() throws Exception {
        handOver();
        saveAgain();

        var _ = look("u1");
        assertThat(vms.running).isFalse();
        assertThat(store.state(OLD)).contains(new ImageState.Consumed());
        assertThat(store.state(NEW)).contains(new ImageState.Complete());
    }

    @Test
    void itsRestoreHadNotSaidThatItRuns() throws Exception {
        handOver();
        saveAgain();
        cluster.restores().add(restore());

        var _ = lookAtRestore();
        assertThat(vms.running).isFalse();
        assertThat(resumed().getStatus()).isEqualTo("True");
        assertThat(resumed().getReason()).isEqualTo("SavedSince");
    }

    @Test
    void itIsBeingSavedAsItsRestoreIsLookedAt() throws Exception {
        handOver();
        vms.running = false;
        var partial = store.create(
                NEW, new PartialIntent(ImageMode.MANAGED_SAVE, 1, true, Optional.of(RESUMED), Instant.now()));
        cluster.restores().add(restore());

        assertThat(lookAtRestore()).isEqualTo(Next.backOff());
        assertThat(vms.running).isFalse();
        assertThat(resumed().getReason()).isEqualTo(FailureReason.VMBusy.name());

        partial.abandon();
        var _ = lookAtRestore();
        assertThat(vms.running).isTrue();
        assertThat(resumed().getReason()).isEqualTo("Running");
    }

    @Test
    void itWentOnAfterACheckpointThatNobodyWasToldOf() throws Exception {
        snapshots.put("u1", snapshot("u1", "p1", "Checkpoint"));
        var _ = look("u1");
        assertThat(vms.running).isTrue();
        snapshots.put("u2", snapshot("u2", "p1", "ManagedSave"));
        var _ = look("u2");

        var _ = look("u1"); // by an agent that does not know that it went on
        assertThat(vms.running).isFalse();
    }

    @Test
    void itsOldImageIsTakenBack() throws Exception {
        snapshots.put("u1", snapshot("u1", "p1", "ManagedSave"));
        var _ = look("u1");
        vms.running = true; // its owner had it go on
        snapshots.put("u2", snapshot("u2", "p1", "ManagedSave"));
        var _ = look("u2");
        snapshots.get("u1").getMetadata().setDeletionTimestamp("2026-01-02T03:04:05Z");

        var _ = look("u1");
        assertThat(vms.running).isFalse();
        assertThat(store.state(NEW)).contains(new ImageState.Complete());
    }

    @Test
    void itWasNotLetRunYetAndIsNoGuestThatItsOwnerPaused() throws Exception {
        handOver();
        vms.running = false;
        saveAgain();

        assertThat(store.open(NEW).header().wasRunning()).isTrue();
    }

    @Test
    void oneThatItsOwnerPausedIsSavedAsThat() throws Exception {
        handOver();
        store.transition(OLD, new ImageState.Consumed());
        vms.running = false;
        saveAgain();

        assertThat(store.open(NEW).header().wasRunning()).isFalse();
    }

    /** The guest runs, and nobody has said so. */
    private void handOver() throws Exception {
        snapshots.put("u1", snapshot("u1", "p1", "ManagedSave"));
        var _ = look("u1");
        store.transition(OLD, new ImageState.HandedOver(RESUMED));
        var _ = journal.update(VM, vm -> vm.handedOver(new VmRecord.HandOver("r1", OLD, RESUMED)));
        vms.process = RESUMED;
        vms.running = true;
    }

    private void saveAgain() throws Exception {
        snapshots.put("u2", snapshot("u2", "p2", "ManagedSave"));
        var _ = look("u2");
        assertThat(store.state(NEW)).contains(new ImageState.Complete());
        assertThat(vms.running).isFalse();
    }

    private Condition resumed() {
        return Conditions.find(((VMRestoreStatus) cluster.written().getLast()).getConditions(), ConditionType.RESUMED)
                .orElseThrow();
    }

    private Next look(String uid) {
        try (SnapshotTask task = new SnapshotTask(node(), new SaveWishes(), new FakeNews())) {
            return task.look(new WorkItem.Snapshot("vms", uid));
        }
    }

    private Next lookAtRestore() {
        try (RestoreTask task = new RestoreTask(node())) {
            return task.look(new WorkItem.Restore("vms", "r"));
        }
    }

    private Node node() {
        return TestNode.of(store, journal, vms, cluster, timer);
    }

    private VMSnapshot snapshot(String uid, String pod, String mode) {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: %1$s, namespace: vms, uid: %1$s, creationTimestamp: "%2$s", finalizers: [torpor.dev/image]}
                spec: {vmName: web, mode: %4$s, verify: Never}
                status: {nodeName: n, storeID: "%5$s", pod: {name: web, uid: %3$s}}
                """.formatted(uid, Instant.now(), pod, mode, store.storeID()), VMSnapshot.class);
    }

    private static VMRestore restore() {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: r, namespace: vms, uid: r1, creationTimestamp: "%s"}
                spec: {snapshotName: u1}
                status: {nodeName: n, vmName: web, snapshotUID: u1, pod: {name: web, uid: p2}, conditions: []}
                """.formatted(Instant.now()), VMRestore.class);
    }
}
