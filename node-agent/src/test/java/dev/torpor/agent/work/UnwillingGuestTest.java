package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
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
import java.time.Duration;
import java.time.Instant;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** An image was given to a process whose guest then cannot be let run; on a real store and journal. */
class UnwillingGuestTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final VmName VM = new VmName("vms", "web");
    private static final ProcessIdentity RESUMED = new ProcessIdentity("p2", "c2", "boot", 2, 2);

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private Node node;

    @SuppressWarnings("NullAway.Init")
    private FakeCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private RestoreTask restores;

    @BeforeEach
    void handOver() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        VmJournal journal = new VmJournal(store.directory());
        cluster = new FakeCluster(snapshot());
        cluster.restores().add(restore());
        node = TestNode.of(store, journal, vms, cluster, timer);
        vms.writesSample = true;
        try (SnapshotTask task = new SnapshotTask(node, new SaveWishes(), new FakeNews())) {
            var _ = task.look(new WorkItem.Snapshot("vms", "s"));
        }
        store.transition(IMAGE, new ImageState.HandedOver(RESUMED));
        var _ = journal.update(VM, vm -> vm.waitingFor(new VmRecord.Waiting("r1", IMAGE))
                .handedOver(new VmRecord.HandOver("r1", IMAGE, RESUMED)));
        vms.process = RESUMED;
        cluster.written().clear();
        restores = new RestoreTask(node);
    }

    @AfterEach
    void close() throws Exception {
        restores.close();
        timer.shutdownNow();
        store.close();
    }

    @ParameterizedTest
    @EnumSource(
            value = FailureReason.class,
            names = {"QMPCommandFailed", "NotQEMU"})
    void oneThatNeverWillIsSaidOnce(FailureReason why) {
        vms.refusesToRun = why;
        vms.stopped = "internal-error";

        assertThat(look()).as("tidied up next").isEqualTo(Next.now());
        assertThat(resumed().getStatus()).isEqualTo("True");
        assertThat(resumed().getReason()).isEqualTo("NotContinued");
        assertThat(resumed().getMessage()).contains("told to refuse").contains("delete pod web");
    }

    @ParameterizedTest
    @EnumSource(
            value = FailureReason.class,
            names = {"DiskLocked", "QMPTimeout", "QEMUGone", "QMPCommandFailed"})
    void oneThatMayLaterIsTriedAgainAfterAWhile(FailureReason why) {
        vms.refusesToRun = why;
        vms.stopped = "io-error";

        assertThat(look()).isEqualTo(Next.backOff());
        assertThat(resumed().getStatus()).isEqualTo("False");
        assertThat(resumed().getReason()).isEqualTo(why.name());

        vms.refusesToRun = null;
        assertThat(look()).isEqualTo(Next.now());
        assertThat(resumed().getReason()).isEqualTo("Running");
        assertThat(vms.running).isTrue();
    }

    @Test
    void oneThatRunsIsNotHeldUpByWhatItsLoadNeeded() {
        vms.refusesToSettle = FailureReason.QMPCommandFailed;

        assertThat(look()).isEqualTo(Next.now());
        assertThat(resumed().getReason()).isEqualTo("Running");
    }

    private Next look() {
        return restores.look(new WorkItem.Restore("vms", "r"));
    }

    private Condition resumed() {
        VMRestoreStatus last = (VMRestoreStatus) cluster.written().getLast();
        return Conditions.find(last.getConditions(), ConditionType.RESUMED).orElseThrow();
    }

    private VMSnapshot snapshot() {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]}
                spec: {vmName: web, mode: ManagedSave, verify: Never}
                status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
                """.formatted(Instant.now(), store.storeID()), VMSnapshot.class);
    }

    private static VMRestore restore() {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: r, namespace: vms, uid: r1, creationTimestamp: "%s"}
                spec: {snapshotName: s}
                status: {nodeName: n, vmName: web, snapshotUID: u1, pod: {name: web, uid: p2},
                  conditions: [{type: ImageAvailable, status: 'True', reason: Checked, message: ''}]}
                """.formatted(Instant.now().minus(Duration.ofHours(1))), VMRestore.class);
    }
}
