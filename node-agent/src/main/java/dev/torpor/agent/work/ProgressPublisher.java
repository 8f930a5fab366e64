package dev.torpor.agent.work;

import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.api.v1alpha1.Progress;
import dev.torpor.telemetry.log.LogScope;
import java.time.Duration;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Publishes how far a save or a load is, at most once in two seconds and only when it changed. After {@link #close}
 * nothing more is written: what follows in status cannot be overtaken.
 */
final class ProgressPublisher implements ProgressListener, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ProgressPublisher.class);
    private static final Duration INTERVAL = Duration.ofSeconds(2);

    private final ProgressMeter meter = new ProgressMeter(System.nanoTime());
    private final Consumer<Progress> publish;
    private final Runnable each;
    private final Future<?> ticks;
    private @Nullable Progress published;
    private boolean closed;

    ProgressPublisher(ScheduledExecutorService timer, Consumer<Progress> publish) {
        this(timer, publish, () -> {});
    }

    /**
     * Begins.
     *
     * @param each done at each tick until {@link #close}, too
     */
    ProgressPublisher(ScheduledExecutorService timer, Consumer<Progress> publish, Runnable each) {
        this.publish = publish;
        this.each = each;
        this.ticks = timer.scheduleWithFixedDelay(
                LogScope.carry(this::tick), INTERVAL.toMillis(), INTERVAL.toMillis(), TimeUnit.MILLISECONDS);
    }

    @Override
    public void progress(long doneBytes, long totalBytes) {
        meter.report(doneBytes, totalBytes);
    }

    private synchronized void tick() {
        if (closed) {
            return;
        }
        quietly(each);
        quietly(() -> meter.show(System.nanoTime()).filter(now -> !sameAs(now)).ifPresent(now -> {
            published = now;
            publish.accept(now);
        }));
    }

    /** Of what a tick does, one thing that fails does not keep the others, nor the next tick, from it. */
    private static void quietly(Runnable action) {
        try {
            action.run();
        } catch (RuntimeException e) {
            LOG.debug("not told how it goes", e);
        }
    }

    private boolean sameAs(Progress now) {
        return published != null
                && published.doneBytes() != null
                && published.doneBytes().equals(now.doneBytes());
    }

    @Override
    public void close() {
        ticks.cancel(false);
        synchronized (this) {
            closed = true;
        }
    }
}
