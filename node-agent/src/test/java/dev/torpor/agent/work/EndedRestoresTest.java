package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Path;
import java.time.Instant;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Of restores that came to their end nothing is kept in memory: an agent lives for months. */
class EndedRestoresTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");
    private static final WorkItem.Restore ITEM = new WorkItem.Restore("vms", "r");
    private static final String RESUMED = "{type: Resumed, status: 'True', reason: Running, message: ''}";
    private static final String COMPARED = ", {type: Verified, status: 'False', reason: NotCompared, message: ''}";

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
    private final FakeCluster cluster = new FakeCluster(new VMSnapshot());

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private VmJournal journal;

    @SuppressWarnings("NullAway.Init")
    private RestoreTask restores;

    @BeforeEach
    void start() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        journal = new VmJournal(store.directory());
        restores = new RestoreTask(TestNode.of(store, journal, vms, cluster, timer));
    }

    @AfterEach
    void close() throws Exception {
        restores.close();
        timer.shutdownNow();
        store.close();
    }

    @Test
    void oneThatFailed() {
        is("");
        assertThat(restores.look(ITEM)).isEqualTo(Next.now());
        assertThat(restores.remembered()).as("why").isEqualTo(1);
        assertThat(restores.look(ITEM)).isEqualTo(Next.onChange());
        assertThat(((VMRestoreStatus) cluster.written().getLast()).getFailure()).isNotNull();
        assertThat(restores.remembered()).isZero();
    }

    @Test
    void oneWhoseGuestsMemoryHasItsVerdictInStatus() throws Exception {
        handedOver();
        is(RESUMED);
        assertThat(restores.look(ITEM)).isEqualTo(Next.now());
        assertThat(restores.remembered()).as("the verdict").isEqualTo(1);
        is(RESUMED + COMPARED);
        assertThat(restores.look(ITEM)).isEqualTo(Next.onChange());
        assertThat(restores.remembered()).isZero();
    }

    @Test
    void oneThatIsGone() throws Exception {
        handedOver();
        is(RESUMED);
        var _ = restores.look(ITEM);
        restores.gone("r1");
        assertThat(restores.remembered()).isZero();
    }

    private void handedOver() throws Exception {
        SampleSave.commit(store, IMAGE, ImageMode.CHECKPOINT);
        store.transition(IMAGE, new ImageState.HandedOver(vms.process));
        var _ = journal.update(
                new VmName("vms", "web"), vm -> vm.handedOver(new VmRecord.HandOver("r1", IMAGE, vms.process)));
    }

    private void is(String conditions) {
        cluster.restores().clear();
        cluster.restores().add(Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: r, namespace: vms, uid: r1, creationTimestamp: "%s"}
                spec: {snapshotName: s}
                status: {nodeName: n, vmName: web, snapshotUID: u1, pod: {name: web, uid: p1}, conditions: [%s]}
                """.formatted(Instant.now(), conditions), VMRestore.class));
    }
}
