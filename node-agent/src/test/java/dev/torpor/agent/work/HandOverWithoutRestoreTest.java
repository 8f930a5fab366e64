package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** An image was given to a process, and the VMRestore that did is deleted before it is done; on a real store and journal. */
class HandOverWithoutRestoreTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final VmName VM = new VmName("vms", "web");
    private static final ProcessIdentity RESUMED = new ProcessIdentity("p2", "c2", "boot", 2, 2);

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private VmJournal journal;

    @SuppressWarnings("NullAway.Init")
    private FakeCluster cluster;

    @BeforeEach
    void save() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        journal = new VmJournal(store.directory());
        cluster = new FakeCluster(snapshot(false));
        vms.writesSample = true;
        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Complete());
        assertThat(vms.running).isFalse();
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void itsGuestIsLetRunBeforeTheImageIsSpent(boolean snapshotIsDeleted) throws Exception {
        handOver();
        cluster = new FakeCluster(snapshot(snapshotIsDeleted));

        assertThat(look()).isEqualTo(Next.now());
        assertThat(vms.running).isTrue();
        assertThat(vms.announced).hasValue(1);
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        VmRecord vm = journal.read(VM);
        assertThat(vm.runs()).as("older images are of another run").isEqualTo(1);
        assertThat(vm.handedOver().map(VmRecord.HandOver::process)).contains(RESUMED);
    }

    @Test
    void theFileOfASpentImageGoesAtALaterLookIfItWasLeft() throws Exception {
        handOver();
        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        // As if the agent had died before it was removed.
        Path left = Files.createFile(temp.resolve("store/images/vms/web").resolve(IMAGE.fileName()));

        var _ = look();
        assertThat(left).doesNotExist();
    }

    @Test
    void aGuestThatRunsIsNoRunMore() throws Exception {
        handOver();
        var _ = journal.update(VM, vm -> vm.handedOver(new VmRecord.HandOver("r1", IMAGE, RESUMED)));
        vms.running = true;

        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        assertThat(journal.read(VM).runs()).isEqualTo(1);
        assertThat(journal.read(VM).handedOver().map(VmRecord.HandOver::restoreUID))
                .contains("r1");
    }

    @Test
    void aGuestWhoseMemoryIsKnownToBeWrongStaysStopped() throws Exception {
        handOver();
        var _ = journal.update(VM, vm -> vm.handedOver(new VmRecord.HandOver("r1", IMAGE, RESUMED))
                .damaged("r1", "a page"));

        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        assertThat(vms.running).isFalse();
    }

    @Test
    void aProcessThatEndedSpentTheImage() throws Exception {
        handOver();
        vms.alive = false;

        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        assertThat(vms.running).isFalse();
        assertThat(journal.read(VM).runs()).isZero();
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "{type: Resumed, status: 'True', reason: Paused, message: ''}"})
    void aRestoreThatIsThereFinishesItselfAndIsLookedAfter(String condition) throws Exception {
        handOver();
        cluster.restores().add(restore(condition));

        assertThat(look()).isInstanceOfSatisfying(Next.After.class, next -> assertThat(next.delay())
                .isPositive());
        assertThat(store.state(IMAGE)).contains(new ImageState.HandedOver(RESUMED));
        assertThat(vms.running).isFalse();
    }

    @Test
    void whatARestoreSaidOfItsGuestHoldsThoughTheSnapshotIsDeleted() throws Exception {
        handOver();
        cluster = new FakeCluster(snapshot(true));
        cluster.restores().add(restore("{type: Resumed, status: 'True', reason: Paused, message: ''}"));

        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Consumed());
        assertThat(vms.running).as("it was to stay paused").isFalse();
    }

    @Test
    @Timeout(60)
    void thatARestoreGoesIsNoticedAtOnce() throws Exception {
        try (Agent agent = new Agent(
                node(),
                new PodDirectories(temp.resolve("kubelet")),
                new SaveWishes(),
                new FakeNews(),
                Optional.empty())) {
            int said = cluster.written().size();
            agent.snapshot(cluster.snapshot("vms", "s").orElseThrow());
            while (cluster.written().size() == said || agent.workQueued() > 0) {
                Thread.onSpinWait();
            }
            handOver();
            agent.gone(restore(""));
            while (!store.state(IMAGE).equals(Optional.of(new ImageState.Consumed()))) {
                Thread.onSpinWait();
            }
            assertThat(vms.running).isTrue();
        }
    }

    private void handOver() throws Exception {
        store.transition(IMAGE, new ImageState.HandedOver(RESUMED));
        vms.process = RESUMED;
        vms.running = false;
    }

    private Next look() {
        try (SnapshotTask task = new SnapshotTask(node(), new SaveWishes(), new FakeNews())) {
            return task.look(new WorkItem.Snapshot("vms", "s"));
        }
    }

    private Node node() {
        return TestNode.of(store, journal, vms, cluster, timer);
    }

    private VMSnapshot snapshot(boolean deleted) {
        return Serialization.unmarshal(
                """
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]%s}
                spec: {vmName: web, mode: ManagedSave, verify: Never}
                status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
                """.formatted(
                        Instant.now(), deleted ? ", deletionTimestamp: '2026-01-02T03:04:05Z'" : "", store.storeID()),
                VMSnapshot.class);
    }

    private static VMRestore restore(String condition) {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: r, namespace: vms, uid: r1, creationTimestamp: "%s"}
                spec: {snapshotName: s}
                status: {nodeName: n, vmName: web, snapshotUID: u1, pod: {name: web, uid: p2}, conditions: [%s]}
                """.formatted(Instant.now(), condition), VMRestore.class);
    }
}
