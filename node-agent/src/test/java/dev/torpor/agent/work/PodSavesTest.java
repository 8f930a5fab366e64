package dev.torpor.agent.work;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Saves that an agent makes by itself, of a pod that is tried again. */
class PodSavesTest {
    private static final WorkItem.Pod POD = new WorkItem.Pod(new VmName("vms", "web"), "p1");
    private static final PodSaves.Why WHY = new PodSaves.Why("its pod ends", "too late");

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
    private final Told told = new Told();

    @SuppressWarnings("NullAway.Init")
    private Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private FakeCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private PodSaves saves;

    /** What the NodeStore was given, of which the operator makes VMSnapshots. */
    private final class Told implements StoreNews {
        final List<ImageRecord> records = new ArrayList<>();
        int refusals;

        @Override
        public void publish() throws TorporException {
            records.addAll(store.list());
            if (refusals-- > 0) {
                throw new TorporException(FailureReason.StoreUnavailable, "not before the answer was lost");
            }
        }

        @Override
        public void soon() {}
    }

    @BeforeEach
    void open(@TempDir Path folder) throws Exception {
        temp = folder;
        vms.writesSample = true;
        store = ImageStore.open(temp);
        cluster = new FakeCluster(Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: other, namespace: vms, uid: u1}
                spec: {vmName: other}
                """, VMSnapshot.class));
        saves = new PodSaves(
                TestNode.of(store, new VmJournal(store.directory()), vms, cluster, timer), new SaveWishes(), told);
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void eachTryHasAnImageOfItsOwnAsTheLastOnesSnapshotMayHaveFailedForGood() throws Exception {
        told.refusals = 1;
        assertThat(save()).isEqualTo(PodSaves.Result.FAILED);
        assertThat(vms.running).isTrue();
        assertThat(store.list()).isEmpty();

        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(told.records)
                .hasSize(2)
                .allMatch(ImageRecord::isOfTermination)
                .extracting(record -> record.id().uid())
                .doesNotHaveDuplicates()
                .allMatch(uid -> uid.startsWith("p1-"));
        assertThat(store.list()).singleElement().satisfies(record -> {
            assertThat(record.state()).isInstanceOf(ImageState.Complete.class);
            assertThat(record.id()).isEqualTo(told.records.getLast().id());
        });
    }

    /** With nobody to ask: the class is known before, and the API server may be away. */
    @Test
    void aVmIsSavedAsTheDefaultClassSays() throws Exception {
        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(requireNonNull(vms.lastPlan).engine()).isEqualTo(Engine.QEMU_DIRECT);

        vms.running = true;
        defaultClass("engine: MultifdStream, bandwidthBytesPerSecond: 5, parallel: {channels: 3}");
        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(requireNonNull(vms.lastPlan).engine()).isEqualTo(Engine.MULTIFD_STREAM);
        assertThat(requireNonNull(vms.lastPlan).channels()).isEqualTo(3);
        assertThat(requireNonNull(vms.lastPlan).bandwidthBytesPerSecondMax()).isZero();
    }

    @Test
    void whatItsQemuCannotDoIsNoReasonToLoseAVm() throws Exception {
        defaultClass("parallel: {compression: Zstd}");
        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(requireNonNull(vms.lastPlan).compression().method()).isEqualTo(Compression.Method.NONE);

        vms.running = true;
        vms.parameters = Set.of("multifd-compression", "cpu-throttle-tailslow");
        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(requireNonNull(vms.lastPlan).compression().method()).isEqualTo(Compression.Method.ZSTD);
    }

    /** It shows only when QEMU is told to compress, with its guest paused and the image begun. */
    @Test
    void aQemuThatWasBuiltWithoutTheMethodOfTheClassSavesWithoutCompression() throws Exception {
        defaultClass("engine: MultifdStream, parallel: {compression: Zstd, channels: 3}");
        vms.parameters = Set.of("multifd-compression", "cpu-throttle-tailslow");
        vms.refusesToCompress = true;

        assertThat(save()).isEqualTo(PodSaves.Result.SAVED);
        assertThat(vms.saves).hasValue(2);
        assertThat(requireNonNull(vms.lastPlan).compression().method()).isEqualTo(Compression.Method.NONE);
        assertThat(requireNonNull(vms.lastPlan).engine()).isEqualTo(Engine.MULTIFD_STREAM);
        assertThat(requireNonNull(vms.lastPlan).channels()).isEqualTo(3);
        assertThat(store.list()).singleElement().satisfies(record -> assertThat(record.state())
                .isInstanceOf(ImageState.Complete.class));
    }

    private void defaultClass(String spec) {
        cluster.defaults()
                .add(Serialization.unmarshal("metadata: {name: c}\nspec: {" + spec + "}", VMSnapshotClass.class)
                        .getSpec());
    }

    @Test
    void whatAnEarlierAgentLeftUnfinishedIsFoundByItsPod() throws Exception {
        told.refusals = 1;
        var _ = save();
        ImageRecord left = told.records.getFirst();
        var _ = store.create(left.id(), left.intent());
        // An old image of the VM that nobody can read any more is in the way of nothing.
        Files.writeString(
                temp.resolve(new ImageId("vms", "web", "old").relativePath()).resolveSibling("old.json"), "{");

        assertThat(saves.undone(new WorkItem.Pod(POD.vm(), "p2"))).isTrue();
        assertThat(store.list()).hasSize(1);
        assertThat(saves.undone(POD)).isTrue();
        assertThat(store.list()).isEmpty();
    }

    private PodSaves.Result save() throws TorporException {
        return saves.save(POD, POD, WHY, Instant.now().plusSeconds(60), _ -> {});
    }
}
