package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.SampleGuest;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.failure.TorporException;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How looks at pages keep out of the way, in a time in which nothing passes by itself. */
class ScanPaceTest {
    private static final ImageId ID = new ImageId("vms", "web", "u1");
    private static final long CHUNK_BYTES = 1 << 20;
    private static final long MILLI = 1_000_000;
    /** Chunks after which an image that is gone is let go of, at the latest. */
    private static final int CHUNKS_MAX = 64;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    private final FakeTime time = new FakeTime();

    /** Stands still, but for pauses and what a chunk takes. */
    private static final class FakeTime implements ScanClock {
        final List<Long> pauses = new ArrayList<>();
        long now = 1;

        @Override
        public synchronized long nanoTime() {
            return now;
        }

        @Override
        public synchronized void pause(long nanos) {
            pauses.add(Math.max(0, nanos));
            now += Math.max(0, nanos);
        }

        synchronized void takes(long nanos) {
            now += nanos;
        }

        synchronized long paused() {
            return pauses.stream().mapToLong(Long::longValue).sum();
        }
    }

    @BeforeEach
    void open() throws TorporException {
        store = ImageStore.open(temp.resolve("store"));
    }

    @AfterEach
    void close() throws TorporException {
        store.close();
    }

    private void saved() throws IOException, TorporException {
        Instant then = Instant.parse("2026-01-02T03:04:05Z");
        PartialImage partial = store.create(ID, new PartialIntent(ImageMode.SAVE, 0, true, Optional.empty(), then));
        try (ImageFiles files = partial.openForQemu(false)) {
            for (Map.Entry<Long, byte[]> part :
                    SampleGuest.parts(new byte[] {1, 2, 3}).entrySet()) {
                files.buffered().write(ByteBuffer.wrap(part.getValue()), part.getKey());
            }
        }
        var _ = partial.commit(
                new ImageHeader(
                        ID, ImageMode.SAVE, SampleGuest.definition(), "qemu-direct", 2, false, 0, true, then, then),
                SampleGuest.pages());
    }

    private ScanPace pace(BooleanSupplier busy, OptionalLong bytesPerSecond) {
        return new ScanPace(store, ID, busy, bytesPerSecond, time);
    }

    @Test
    void halfOfTheDiskIsLeftToOthers() {
        ScanPace pace = pace(() -> false, OptionalLong.empty());
        for (long took : List.of(3 * MILLI, 40 * MILLI, MILLI)) {
            time.takes(took);
            pace.progress(CHUNK_BYTES, 10 * CHUNK_BYTES);
        }
        assertThat(time.pauses).containsExactly(3 * MILLI, 40 * MILLI, MILLI);
    }

    @Test
    void aRateIsNotExceededAndWhatIsSlowerIsNotHeldUp() {
        ScanPace pace = pace(() -> false, OptionalLong.of(50 * CHUNK_BYTES)); // 20 ms for each chunk
        for (long took : List.of(5 * MILLI, 20 * MILLI, 300 * MILLI, 0L)) {
            time.takes(took);
            pace.progress(CHUNK_BYTES, 10 * CHUNK_BYTES);
        }
        // What was slow is not made up for.
        assertThat(time.pauses).containsExactly(15 * MILLI, 0L, 0L, 20 * MILLI);
    }

    @Test
    void savesAndRestoresAreWaitedForHoweverLongTheyTake() {
        AtomicInteger asked = new AtomicInteger();
        ScanPace pace = pace(() -> asked.incrementAndGet() < 100, OptionalLong.empty());
        pace.progress(CHUNK_BYTES, 10 * CHUNK_BYTES);
        assertThat(asked.get()).isGreaterThanOrEqualTo(100);
        assertThat(time.pauses).hasSizeGreaterThan(40);
        // The time that was waited is not taken for the disk's.
        long paused = time.paused();
        pace.progress(2 * CHUNK_BYTES, 10 * CHUNK_BYTES);
        assertThat(time.paused()).isEqualTo(paused);
    }

    @Test
    void anImageThatIsSpentMeanwhileIsLetGoOf() throws Exception {
        saved();
        ScanPace pace = pace(() -> false, OptionalLong.empty());
        assertThatCode(() -> chunks(pace, 3 * CHUNKS_MAX)).doesNotThrowAnyException();
        store.delete(ID);
        assertThatThrownBy(() -> chunks(pace, CHUNKS_MAX)).isInstanceOf(EndedException.class);
    }

    private static void chunks(ScanPace pace, int count) {
        for (int i = 0; i < count; i++) {
            pace.progress(CHUNK_BYTES, 2 * CHUNK_BYTES);
        }
    }

    @Test
    void anInterruptEndsIt() {
        ScanPace pace = pace(() -> true, OptionalLong.empty());
        Thread.currentThread().interrupt();
        try {
            assertThatThrownBy(() -> pace.progress(CHUNK_BYTES, CHUNK_BYTES)).isInstanceOf(EndedException.class);
            assertThatThrownBy(() -> new Gently(true, time).progress(0, 1)).isInstanceOf(EndedException.class);
        } finally {
            assertThat(Thread.interrupted()).isTrue();
        }
    }

    @Test
    void aComparisonLeavesHalfOfTheDiskUnlessItFollowsAnotherReader() {
        Gently gently = new Gently(false, time);
        time.takes(7 * MILLI);
        gently.progress(CHUNK_BYTES, 2 * CHUNK_BYTES);
        gently.progress(2 * CHUNK_BYTES, 2 * CHUNK_BYTES);
        assertThat(time.pauses).containsExactly(7 * MILLI, 0L);

        Gently follower = new Gently(true, time);
        time.takes(7 * MILLI);
        follower.progress(CHUNK_BYTES, CHUNK_BYTES);
        assertThat(time.pauses).hasSize(2);
    }

    @Test
    void aScrubReadsNoMoreThanItsBudget() throws Exception {
        saved();
        AtomicInteger chunks = new AtomicInteger();
        assertThat(store.verify(ID, (_, _) -> chunks.incrementAndGet())).isTrue();
        long bytesPerSecond = CHUNK_BYTES / 3;
        BlockingQueue<ImageId> ended = new LinkedBlockingQueue<>();
        Clock later = Clock.fixed(Instant.now().plus(Duration.ofDays(1)), ZoneOffset.UTC);
        ScrubSettings settings = new ScrubSettings(Duration.ofMillis(1), bytesPerSecond);
        AgentMetrics metrics = new AgentMetrics(new SimpleMeterRegistry());
        try (Scrub scrub =
                new Scrub(store, metrics, later, settings, () -> false, _ -> ended.isEmpty(), ended::add, time)) {
            scrub.start();
            assertThat(ended.poll(1, TimeUnit.MINUTES)).isEqualTo(ID);
        }
        long leastNanos = chunks.get() * CHUNK_BYTES * TimeUnit.SECONDS.toNanos(1) / bytesPerSecond;
        assertThat(time.paused()).isGreaterThanOrEqualTo(leastNanos);
    }
}
