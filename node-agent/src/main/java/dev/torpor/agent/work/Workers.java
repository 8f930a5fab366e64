package dev.torpor.agent.work;

import dev.torpor.agent.launch.VmName;
import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One worker for each VM: its items are looked at one at a time, in the order in which they came; an item that waits
 * already is not queued again, and one that is to be looked at later is so once, however often it came before. Platform threads,
 * as the calls to QEMU and the disk hold their carrier; they end when idle.
 */
final class Workers implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Workers.class);
    private static final Duration BACK_OFF_FIRST = Duration.ofMillis(500);
    private static final Duration BACK_OFF_MAX = Duration.ofSeconds(10);

    private final Work work;
    private final AtomicLong threads = new AtomicLong();
    private final ExecutorService executor =
            Executors.newCachedThreadPool(r -> new Thread(r, "worker-" + threads.incrementAndGet()));
    private final ScheduledExecutorService timer;
    private final Map<VmName, Set<WorkItem>> waiting = new HashMap<>();
    private final Map<WorkItem, Integer> attempts = new HashMap<>();
    private final Map<WorkItem, Later> laters = new HashMap<>();
    private Optional<Predicate<WorkItem>> mustFinish = Optional.empty();
    private volatile Optional<String> broken = Optional.empty();

    /** When an item is to be looked at, on the clock of {@link System#nanoTime}, and what sees to it. */
    private record Later(long atNanos, Future<?> timer) {}

    /** What is done with an item. */
    interface Work {
        /**
         * Looks at an item.
         *
         * @param attempt how often in a row it was to be tried again, from 1
         */
        Next look(VmName vm, WorkItem item, int attempt) throws InterruptedException;
    }

    Workers(Work work, ScheduledExecutorService timer) {
        this.work = work;
        this.timer = timer;
    }

    /** Has an item looked at soon. */
    synchronized void submit(VmName vm, WorkItem item) {
        if (mustFinish.isPresent()) {
            return; // for the next agent
        }
        // What it wants after that look counts.
        Later later = laters.remove(item);
        if (later != null) {
            later.timer().cancel(false);
        }
        Set<WorkItem> queue = waiting.get(vm);
        if (queue != null) {
            queue.add(item);
            return;
        }
        queue = new LinkedHashSet<>();
        queue.add(item);
        waiting.put(vm, queue);
        try {
            executor.execute(() -> drain(vm));
        } catch (RejectedExecutionException e) {
            waiting.remove(vm); // the agent is stopping
        }
    }

    private void drain(VmName vm) {
        for (WorkItem item = next(vm); item != null; item = next(vm)) {
            try {
                Next next = look(vm, item);
                while (onceMore(item, next)) {
                    next = look(vm, item);
                }
                schedule(vm, item, next);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return; // the agent is stopping; the next one looks at everything again
            } catch (Error e) {
                broken = Optional.of("a worker died of " + e);
                throw e;
            }
        }
    }

    private Next look(VmName vm, WorkItem item) throws InterruptedException {
        Next next;
        try {
            next = work.look(vm, item, attempt(item));
        } catch (RuntimeException e) {
            LOG.error("{}: looking at it failed", item, e);
            next = Next.backOff();
        }
        if (Thread.currentThread().isInterrupted()) {
            throw new InterruptedException();
        }
        return next;
    }

    /** At the end of the agent: what was begun is brought to its rest here, as nobody schedules it any more. */
    private boolean onceMore(WorkItem item, Next next) throws InterruptedException {
        synchronized (this) {
            if (mustFinish.isEmpty()) {
                return false;
            }
        }
        return switch (next) {
            case Next.OnChange _ -> false;
            case Next.After(Duration delay) -> delay.isZero();
            case Next.BackOff _ -> {
                boolean again;
                synchronized (this) {
                    again = mustFinish.get().test(item);
                }
                if (again) {
                    Thread.sleep(BACK_OFF_FIRST);
                }
                yield again;
            }
        };
    }

    private synchronized int attempt(WorkItem item) {
        return attempts.getOrDefault(item, 0) + 1;
    }

    private synchronized @Nullable WorkItem next(VmName vm) {
        Set<WorkItem> queue = waiting.get(vm);
        if (queue == null || queue.isEmpty() || mustFinish.isPresent()) {
            waiting.remove(vm);
            notifyAll();
            return null;
        }
        WorkItem first = queue.iterator().next();
        queue.remove(first);
        return first;
    }

    private synchronized void schedule(VmName vm, WorkItem item, Next next) {
        if (mustFinish.isPresent()) {
            return;
        }
        switch (next) {
            case Next.OnChange _ -> attempts.remove(item);
            case Next.After(Duration delay) -> {
                attempts.remove(item);
                later(vm, item, delay);
            }
            case Next.BackOff _ -> {
                int attempt = attempts.merge(item, 1, Integer::sum);
                long millis = BACK_OFF_FIRST.toMillis() << Math.min(attempt - 1, 10);
                later(vm, item, Duration.ofMillis(Math.min(millis, BACK_OFF_MAX.toMillis())));
            }
        }
    }

    private void later(VmName vm, WorkItem item, Duration delay) {
        if (delay.isZero()) {
            submit(vm, item);
            return;
        }
        if (waiting.getOrDefault(vm, Set.of()).contains(item)) {
            return; // it came again meanwhile
        }
        long at = System.nanoTime() + delay.toNanos();
        Later before = laters.get(item);
        if (before != null && before.atNanos() - at <= 0) {
            return;
        }
        try {
            Future<?> mine = timer.schedule(() -> submit(vm, item), delay.toMillis(), TimeUnit.MILLISECONDS);
            laters.put(item, new Later(at, mine));
            if (before != null) {
                before.timer().cancel(false);
            }
        } catch (RejectedExecutionException e) {
            LOG.debug("{}: not looked at again, the agent is stopping", item);
        }
    }

    /** Tells whether a VM's worker looks at something, or is about to. */
    synchronized boolean isBusy(VmName vm) {
        return waiting.containsKey(vm);
    }

    /** Returns how many items wait for their VM's worker. */
    synchronized int queued() {
        return waiting.values().stream().mapToInt(Set::size).sum();
    }

    /** Tells whether no item waits for its worker, or is being looked at. */
    synchronized boolean isIdle() {
        return waiting.isEmpty();
    }

    /** Returns what a worker died of, whose VM nobody looks after any more; empty if none did. */
    Optional<String> broken() {
        return broken;
    }

    /**
     * Begins nothing more. Items that are being looked at are looked at again as long as they want it at once.
     *
     * @param mustFinish tells which of them are tried again after trouble, too
     */
    synchronized void end(Predicate<WorkItem> mustFinish) {
        this.mustFinish = Optional.of(mustFinish);
    }

    /** After {@link #end}: waits for the items that are being looked at; false if some still are after that time. */
    synchronized boolean awaitIdle(Duration atMost) throws InterruptedException {
        long end = System.nanoTime() + atMost.toNanos();
        while (!isIdle()) {
            long leftMillis = TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime());
            if (leftMillis <= 0) {
                return false;
            }
            wait(leftMillis);
        }
        return true;
    }

    /** Interrupts what is under way, and waits a little for it to let go. QEMU's work goes on without us. */
    @Override
    public void close() {
        executor.shutdownNow();
        try {
            if (!executor.awaitTermination(5, TimeUnit.SECONDS)) {
                LOG.warn("some work did not end in time; the next agent takes it up");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
