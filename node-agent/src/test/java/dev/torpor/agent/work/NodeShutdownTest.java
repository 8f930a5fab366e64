package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.agent.node.PodVolumes;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What an agent does when logind says that the machine goes down, and that it does not after all. */
@Timeout(60)
class NodeShutdownTest {
    private static final Duration WAIT = Duration.ofMinutes(5);

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
    private final List<WorkItem.NodeEnd> submitted = new CopyOnWriteArrayList<>();
    private final AtomicLong measuredBytesPerSecond = new AtomicLong();
    private final AtomicInteger released = new AtomicInteger();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private ShutdownReports reports;

    @SuppressWarnings("NullAway.Init")
    private NodeShutdown shutdown;

    @SuppressWarnings("NullAway.Init")
    private FakeCluster cluster;

    @BeforeEach
    void start() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        cluster = new FakeCluster(new VMSnapshot());
        reports = new ShutdownReports(store.directory());
        Node node = TestNode.of(store, new VmJournal(store.directory()), vms, cluster, timer);
        shutdown = new NodeShutdown(
                node,
                new PodSaves(node, new SaveWishes(), new FakeNews()),
                new NodeShutdown.Setup(reports, new SaveRate(store.directory(), measuredBytesPerSecond::get), 2),
                new FakeNews(),
                submitted::add);
        shutdown.start(() -> Optional.of(List.of(pod())));
    }

    private static Pod pod() {
        return new PodBuilder()
                .withNewMetadata()
                .withName("web")
                .withNamespace("vms")
                .withUid("p1")
                .addToLabels(Torpor.VM_LABEL, "web")
                .endMetadata()
                .withNewSpec()
                .endSpec()
                .build();
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void aSecondOneIsWaitedForThoughTheFirstIsStillBeingUndone() throws Exception {
        shutdown.begins(WAIT, released::incrementAndGet);
        assertThat(submitted).hasSize(1);
        shutdown.cancelled();
        shutdown.begins(WAIT, released::incrementAndGet);

        var _ = shutdown.look(submitted.getFirst());
        assertThat(released).as("the machine waits for the second").hasValue(0);
        while (submitted.size() < 2) {
            Thread.onSpinWait();
        }
        var _ = shutdown.look(submitted.getLast());
        assertThat(released).hasValue(1);
    }

    @Test
    void anAgentThatStartsWhenAllIsOverLeavesTheReportOfTheOneBefore() {
        NodeShutdownStatus told = new NodeShutdownStatus("2026-11-29T11:00:00Z", 90L, 2, false, List.of());
        reports.keep(told);
        shutdown.start(Optional::empty);
        shutdown.begins(Duration.ZERO, released::incrementAndGet);
        assertThat(released).as("the machine is not held up").hasValue(1);
        assertThat(reports.last()).contains(told);
    }

    @Test
    void whatTheDefaultClassCompressesIsTakenToNeedLonger() {
        measuredBytesPerSecond.set(1L << 40);
        VmName vm = new VmName("vms", "web");
        shutdown.seen(vm, pod());
        var _ = shutdown.measure(new WorkItem.Measure(vm, "p1"));
        assertThat(shutdown.neededSeconds())
                .as("for itself; its MiB takes no time")
                .isEqualTo(0.4);
        cluster.defaults()
                .add(Serialization.unmarshal(
                                "metadata: {name: c}\nspec: {parallel: {compression: Zlib}}", VMSnapshotClass.class)
                        .getSpec());
        assertThat(shutdown.neededSeconds()).isEqualTo(0.41);
    }

    @Test
    void aSecondOneThatIsCancelledTooIsNot() throws Exception {
        shutdown.begins(WAIT, released::incrementAndGet);
        shutdown.cancelled();
        shutdown.begins(WAIT, released::incrementAndGet);
        shutdown.cancelled();

        var _ = shutdown.look(submitted.getFirst());
        assertThat(released).hasValue(1);
        assertThat(submitted).hasSize(1);
    }

    /** 1 MiB of memory, and what each save takes besides. */
    @Test
    void theTimeThatIsNeededIsKnownOnceTheMemoryIsAndASaveWasMeasured() {
        assertThat(shutdown.neededSeconds()).as("no VMs").isZero();
        shutdown.seen(new VmName("vms", "web"), pod());
        assertThat(shutdown.neededSeconds()).isNaN();
        shutdown.due().forEach(shutdown::measure);
        assertThat(shutdown.neededSeconds()).as("no save was measured").isNaN();

        measuredBytesPerSecond.set(512 << 10);
        assertThat(shutdown.neededSeconds()).isEqualTo(2.4);
        shutdown.gone("p1");
        assertThat(shutdown.neededSeconds()).isZero();
    }

    @ParameterizedTest
    @CsvSource({"kind start|argv YQA=|, true", "kind stop|, false", "garbage, false"})
    void onlyALauncherThatAsksHowToStartHasNoQemu(String ask, boolean asking) throws Exception {
        Path volume = Files.createDirectories(temp.resolve("kubelet/pods/p1/volumes/kubernetes.io~empty-dir/torpor"));
        Files.writeString(volume.resolve("ask.x"), "version 1\nid x\n" + ask.replace('|', '\n'));
        Path fifo = volume.resolve("answer.x");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();
        PodDirectories pods = new PodDirectories(temp.resolve("kubelet"));
        try (FileChannel _ = FileChannel.open(fifo, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            assertThat(new QemuVm.OfNode(pods, new PodVolumes(pods), Map.of()).isAsking("p1"))
                    .isEqualTo(asking);
        }
    }
}
