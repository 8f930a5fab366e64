package dev.torpor.agent.work;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.agent.metrics.AgentMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** When images are looked at, and again; what a look does to one is tested with the store. */
class PageScansTest {
    private static final ImageId ONE = new ImageId("vms", "web", "u1");
    private static final ImageId TWO = new ImageId("vms", "web", "u2");
    private static final int DISK = 9;
    private static final Duration RETRY = Duration.ofMillis(20);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final BlockingQueue<ImageId> ended = new LinkedBlockingQueue<>();
    private volatile boolean fails;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private PageScans scans;

    @BeforeEach
    void start() throws Exception {
        Path path = Files.createDirectory(temp.resolve("store")).toRealPath();
        var _ = SimulatedDisk.mount(path, DISK, () -> fails ? Optional.of(SimulatedDisk.Fault.EIO) : Optional.empty());
        store = ImageStore.open(path);
        scans = new PageScans(store, new AgentMetrics(new SimpleMeterRegistry()), () -> false, ended::add, RETRY);
    }

    @AfterEach
    void stop() throws Exception {
        scans.close();
        store.close();
        SimulatedDisk.unmountAll();
    }

    @Test
    void anImageThatIsGoneIsNoDamageAndMayComeAgain() throws Exception {
        scans.submit(ONE);
        assertThat(next()).isEqualTo(ONE);
        assertThat(store.damage(ONE)).isEmpty();
        scans.submit(ONE);
        scans.submit(TWO);
        assertThat(next()).isEqualTo(ONE);
        assertThat(next()).isEqualTo(TWO);
    }

    @Test
    void anImageThatCouldNotBeReadIsScannedWhenItCan() throws Exception {
        SampleSave.commit(store, ONE, ImageMode.CHECKPOINT);
        fails = true;
        scans.submit(ONE);
        assertThat(next()).isEqualTo(ONE);
        fails = false;
        assertThat(store.state(ONE)).contains(new ImageState.Complete());
        assertThat(store.damage(ONE)).isEmpty();

        scans.submit(ONE);
        assertThat(next()).isEqualTo(ONE);
        assertThat(store.state(ONE)).contains(new ImageState.Verified());
    }

    @Test
    void aRequestIsCarriedOutOnlyByALookThatCameToItsEnd() throws Exception {
        SampleSave.commit(store, ONE, ImageMode.CHECKPOINT);
        fails = true;
        assertThat(scans.request(ONE, "first")).isFalse();
        assertThat(next()).isEqualTo(ONE);
        fails = false;

        assertThat(scans.request(ONE, "first")).as("it is looked at again").isFalse();
        assertThat(next()).isEqualTo(ONE);
        assertThat(scans.request(ONE, "first")).isTrue();
        assertThat(store.state(ONE)).contains(new ImageState.Verified());
    }

    private ImageId next() throws InterruptedException {
        return requireNonNull(ended.poll(1, TimeUnit.MINUTES));
    }
}
