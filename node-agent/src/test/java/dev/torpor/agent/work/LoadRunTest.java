package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Loads that end otherwise than they should; on a real store and journal. */
class LoadRunTest {
    private static final ImageId IMAGE = new ImageId("vms", "web", "u1");

    private final FakeVms vms = new FakeVms();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    @Timeout(60)
    void aLoadThatHangsEndsAtTheDeadlineWithItsQemuAndTheImageIsSafe() throws Exception {
        vms.loadsForEver = true;
        // Made in 1970: its deadline has passed once QEMU is at work.
        TorporException e = afterSaveAndLoad(store -> {
            assertThat(store.state(IMAGE)).contains(new ImageState.Complete());
            assertThat(store.damage(IMAGE)).isEmpty();
        });
        assertThat(e.reason()).isEqualTo(FailureReason.DeadlineExceeded);
        assertThat(e).hasMessage("not done within 300 s: raise deadlineSeconds, or see what keeps the node busy");
    }

    @ParameterizedTest
    @EnumSource(names = {"ImageDamaged", "ImageTruncated"})
    void damageThatIsFoundInTheMiddleOfALoadIsRecorded(FailureReason reason) throws Exception {
        vms.failsToLoad = new TorporException(reason, "the streams are not what they were");
        TorporException e = afterSaveAndLoad(store -> {
            assertThat(store.damage(IMAGE)).contains("the streams are not what they were");
            assertThat(store.state(IMAGE)).contains(new ImageState.Complete());
            TorporException again = catchThrowableOfType(
                    TorporException.class, () -> store.open(IMAGE).requireRestorable());
            assertThat(again.reason()).isEqualTo(FailureReason.ImageDamaged);
        });
        assertThat(e).isSameAs(vms.failsToLoad);
    }

    @Test
    void aLoadThatQemuRefusesSaysNothingOfTheImage() throws Exception {
        vms.failsToLoad = new TorporException(FailureReason.LoadFailed, "QEMU could not load the image");
        TorporException e =
                afterSaveAndLoad(store -> assertThat(store.damage(IMAGE)).isEmpty());
        assertThat(e).isSameAs(vms.failsToLoad);
    }

    private interface Then {
        void look(ImageStore store) throws Exception;
    }

    /** Saves a VM, tries to load the image, and sees that its QEMU was ended and has nothing. */
    private TorporException afterSaveAndLoad(Then then) throws Exception {
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                ScheduledExecutorService timer = Executors.newScheduledThreadPool(1)) {
            VmJournal journal = new VmJournal(store.directory());
            Node node = node(store, journal, timer);
            vms.writesSample = true;
            try (SnapshotTask task = new SnapshotTask(node, new SaveWishes(), new FakeNews())) {
                var _ = task.look(new WorkItem.Snapshot("vms", "s"));
            }
            vms.stopped = "inmigrate";
            AtomicBoolean disk = new AtomicBoolean();
            vms.whenItLoads = () -> disk.set(node.underWay().transferring());

            RestoreView restore = RestoreViews.of("r1", IMAGE, Optional.empty(), true, false, false);
            TorporException e = catchThrowableOfType(TorporException.class, () -> new LoadRun(node, restore).run("p1"));

            assertThat(disk).as("looks at images leave it to this").isTrue();
            assertThat(node.underWay().transferring()).isFalse();
            assertThat(vms.quits).hasValue(1);
            assertThat(vms.running).isFalse();
            assertThat(journal.read(new VmName("vms", "web")).handedOver()).isEmpty();
            then.look(store);
            return e;
        }
    }

    private Node node(ImageStore store, VmJournal journal, ScheduledExecutorService timer) {
        FakeCluster cluster = new FakeCluster(snapshot(store.storeID()));
        return TestNode.of(store, journal, vms, cluster, timer);
    }

    private static VMSnapshot snapshot(String storeID) {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]}
                spec: {vmName: web, mode: ManagedSave, verify: Never}
                status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
                """.formatted(Instant.now(), storeID), VMSnapshot.class);
    }
}
