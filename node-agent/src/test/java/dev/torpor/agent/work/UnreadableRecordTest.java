package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.SealedJson;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A saved VM whose image's record is damaged, or of a newer release; on a real store and journal. */
@Timeout(60)
class UnreadableRecordTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final VmName VM = new VmName("vms", "web");
    private static final String SAVED = "conditions: [{type: Saved, status: 'True', reason: Saved, message: ''}]";

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);

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
        cluster = new FakeCluster(snapshot("", "", ""));
        vms.writesSample = true;
        var _ = look();
        assertThat(store.state(IMAGE)).contains(new ImageState.Complete());
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void isNotAvailableUntilItIsPutBack() throws Exception {
        byte[] record = Files.readAllBytes(file(".json"));
        damage();
        cluster = new FakeCluster(snapshot(SAVED, "", ""));

        assertThat(look()).isInstanceOfSatisfying(Next.After.class, next -> assertThat(next.delay())
                .isPositive());
        assertThat(available().getStatus()).isEqualTo("False");
        assertThat(available().getReason()).isEqualTo("ImageDamaged");

        Files.write(file(".json"), record);
        assertThat(look()).isEqualTo(Next.onChange());
        assertThat(available().getStatus()).isEqualTo("True");
    }

    @Test
    void ofANewerReleaseIsSaidToBeThat() throws Exception {
        Files.write(file(".json"), SealedJson.seal(SealedJson.begin().put("formatVersion", 3)));
        cluster = new FakeCluster(snapshot(SAVED, "", ""));

        var _ = look();
        assertThat(available().getStatus()).isEqualTo("False");
        assertThat(available().getReason()).isEqualTo("ImageFormatTooNew");
    }

    @Test
    void holdsItsVmThoughTheObjectIsDeleted() throws Exception {
        damage();
        cluster = new FakeCluster(snapshot(SAVED, "", "deletionTimestamp: '2026-01-02T03:04:05Z'"));

        var _ = look();
        assertThat(cluster.letGo()).isEmpty();
        assertThat(file(".img")).exists();
    }

    @ParameterizedTest
    @ValueSource(strings = {"Delete", "Retain"})
    void isGivenUpLikeAnyOther(String policy) throws Exception {
        damage();
        cluster = new FakeCluster(snapshot(
                SAVED,
                "deletionPolicy: " + policy,
                "deletionTimestamp: '2026-01-02T03:04:05Z', annotations: {torpor.dev/discard: 'true'}"));
        cluster.gone().add("p1");

        assertThat(look()).isEqualTo(Next.onChange());
        assertThat(cluster.letGo()).containsExactly("s");
        assertThat(Files.exists(file(".img"))).isEqualTo(policy.equals("Retain"));
        assertThat(store.list("vms", "web")).isEmpty();
    }

    @Test
    void endsARestoreThatWaitsForIt() throws Exception {
        var _ = journal.update(VM, vm -> vm.waitingFor(new VmRecord.Waiting("r1", IMAGE)));
        damage();
        cluster.restores().add(restore());
        vms.unreachable = FailureReason.SocketMissing;
        try (RestoreTask task = new RestoreTask(node())) {
            var _ = task.look(new WorkItem.Restore("vms", "r"));
        }
        VMRestoreStatus said = (VMRestoreStatus) cluster.written().getLast();
        assertThat(Conditions.reason(said.getConditions(), ConditionType.RESUMED))
                .isEqualTo("ImageDamaged");
        assertThat(said.getFailure()).isNotNull();
        assertThat(journal.read(VM).waiting()).isEmpty();
    }

    @Test
    void doesNotHoldUpAGuestThatHasItsMemory() throws Exception {
        ProcessIdentity resumed = new ProcessIdentity("p2", "c2", "boot", 2, 2);
        var _ = journal.update(VM, vm -> vm.handedOver(new VmRecord.HandOver("r1", IMAGE, resumed)));
        vms.process = resumed;
        damage();
        cluster.restores().add(restore());
        try (RestoreTask task = new RestoreTask(node())) {
            assertThat(task.look(new WorkItem.Restore("vms", "r"))).isEqualTo(Next.now());
        }
        assertThat(vms.running).isTrue();
    }

    @Test
    void isSaidToTheLauncherThatItHolds() throws Exception {
        damage();
        Path volume = Files.createDirectories(temp.resolve("kubelet/pods/p2/volumes/kubernetes.io~empty-dir/torpor"));
        Files.writeString(volume.resolve("ask.x"), "version 1\nid x\nkind start\nargv YQA=\n");
        Path fifo = volume.resolve("answer.x");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();
        PodDirectories pods = new PodDirectories(temp.resolve("kubelet"));
        Node node = node();
        Starts starts = new Starts(
                node,
                pods,
                new Terminations(node, new PodSaves(node, new SaveWishes(), new FakeNews()), Optional.empty()),
                (_, _) -> {});
        try (FileChannel launcher = FileChannel.open(fifo, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            assertThat(starts.look(new WorkItem.Pod(VM, "p2")))
                    .isInstanceOfSatisfying(
                            Next.After.class, next -> assertThat(next.delay()).isPositive());
            ByteBuffer answer = ByteBuffer.allocate(4096);
            var _ = launcher.write(ByteBuffer.wrap("\n".getBytes(StandardCharsets.UTF_8))); // so that a read ends
            var _ = launcher.read(answer);
            assertThat(new String(answer.array(), 0, answer.position(), StandardCharsets.UTF_8))
                    .contains("the record of image vms/web/u1 is damaged")
                    .contains("torpor.dev/discard");
        }
    }

    @Test
    void isToldInTheNodeStoreAsLongAsItIsThere() throws Exception {
        damage();
        TerminationSave told = new TerminationSave("vms", "web", "u1", null, true, null);
        TerminationSave another = new TerminationSave("vms", "db", "u1", null, true, null);

        Set<ImageId> unreadable = new HashSet<>();
        List<ImageRecord> records = store.list(unreadable::add);
        assertThat(unreadable).containsExactly(IMAGE);
        assertThat(StorePublisher.saves(records, unreadable, List.of(told, another)))
                .containsExactly(told);

        store.delete(IMAGE);
        unreadable.clear();
        records = store.list(unreadable::add);
        assertThat(StorePublisher.saves(records, unreadable, List.of(told))).isEmpty();
    }

    private void damage() throws Exception {
        byte[] record = Files.readAllBytes(file(".json"));
        record[record.length / 2] ^= 1;
        Files.write(file(".json"), record);
    }

    private Path file(String suffix) {
        return temp.resolve("store/images/vms/web/u1" + suffix);
    }

    private Next look() {
        try (SnapshotTask task = new SnapshotTask(node(), new SaveWishes(), new FakeNews())) {
            return task.look(new WorkItem.Snapshot("vms", "s"));
        }
    }

    private Condition available() {
        VMSnapshotStatus last = (VMSnapshotStatus) cluster.written().getLast();
        return Conditions.find(last.getConditions(), ConditionType.IMAGE_AVAILABLE)
                .orElseThrow();
    }

    private Node node() {
        return TestNode.of(store, journal, vms, cluster, timer);
    }

    private VMSnapshot snapshot(String status, String spec, String meta) {
        return Serialization.unmarshal(
                """
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]%s}
                spec: {vmName: web, mode: ManagedSave, verify: Never%s}
                status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}%s}
                """.formatted(Instant.now(), also(meta), also(spec), store.storeID(), also(status)), VMSnapshot.class);
    }

    private static String also(String fields) {
        return fields.isEmpty() ? "" : ", " + fields;
    }

    private static VMRestore restore() {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: r, namespace: vms, uid: r1, creationTimestamp: "%s"}
                spec: {snapshotName: s}
                status: {nodeName: n, vmName: web, snapshotUID: u1, pod: {name: web, uid: p2},
                  conditions: [{type: ImageAvailable, status: 'True', reason: Checked, message: ''}]}
                """.formatted(Instant.now()), VMRestore.class);
    }
}
