package dev.torpor.agent.logind;

import dev.torpor.agent.linux.Descriptor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps logind's shutdowns waiting for us: holds a lock of mode {@code delay}, hears of shutdowns, and takes the lock again
 * after one that was given up. A bus or a logind that is away, or never was there, is waited for; nothing else depends on
 * it. One thread does it all. A lock outlives the connection that it was taken through, and logind itself: it is a pipe,
 * which a new logind finds again.
 */
public final class ShutdownInhibitor implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(ShutdownInhibitor.class);
    private static final String WHY = "saving the memory of virtual machines";
    private static final Duration RETRY_FIRST = Duration.ofSeconds(1);
    private static final Duration RETRY_MAX = Duration.ofMinutes(1);
    // A signal that was lost, a logind that was started again on the same bus.
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(15);

    private final Path bus;
    private final ShutdownListener listener;
    private final Thread thread;

    private boolean closed;
    private boolean lookNow;
    private Optional<String> lost = Optional.empty();
    private Optional<Descriptor> lock = Optional.empty();
    private Duration delayMax = Duration.ZERO;
    private boolean connected;
    private boolean preparing;

    /**
     * Sets up; {@link #start} begins.
     *
     * @param bus path of the system bus's socket
     */
    public ShutdownInhibitor(Path bus, ShutdownListener listener) {
        this.bus = bus;
        this.listener = listener;
        thread = Thread.ofPlatform().name("logind").daemon().unstarted(this::run);
    }

    /** Begins. */
    public void start() {
        thread.start();
    }

    /** Tells whether a shutdown of the machine would wait for us now. */
    public synchronized boolean held() {
        return connected && lock.isPresent();
    }

    /** Returns how long it would wait, as logind said last; zero if it never did. */
    public synchronized Duration delayMax() {
        return delayMax;
    }

    private void run() {
        Duration retry = RETRY_FIRST;
        boolean warned = false;
        try {
            while (!isClosed()) {
                try (LogindSession session = LogindSession.open(bus, this::hint, this::lost)) {
                    synchronized (this) {
                        connected = true;
                    }
                    while (isConnected()) {
                        look(session);
                        if (warned) {
                            LOG.info("logind answers again");
                        }
                        warned = false;
                        retry = RETRY_FIRST;
                        await(LOOK_AGAIN);
                    }
                } catch (IOException e) {
                    lost(String.valueOf(e.getMessage()));
                }
                if (isClosed()) {
                    return;
                }
                String why = takeLost();
                if (!warned) {
                    LOG.warn("a shutdown of this node would not wait for its VMs to be saved: {}", why);
                    warned = true;
                }
                LOG.debug("logind: {}; again in {} s", why, retry.toSeconds());
                await(retry);
                retry = retry.multipliedBy(2).compareTo(RETRY_MAX) < 0 ? retry.multipliedBy(2) : RETRY_MAX;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            release();
        }
    }

    /** Asks logind how things are, and does what follows. */
    private void look(LogindSession session) throws IOException {
        boolean now = session.preparing();
        Duration max = session.delayMax();
        boolean before;
        boolean holding;
        synchronized (this) {
            before = preparing;
            preparing = now;
            delayMax = max;
            holding = lock.isPresent();
        }
        if (now && !before) {
            LOG.info("logind is about to shut this node down, and waits {} for us", holding ? max : Duration.ZERO);
            listener.begins(holding ? max : Duration.ZERO, this::release);
        } else if (before && !now) {
            LOG.info("logind does not shut this node down for now");
            listener.cancelled();
        }
        if (!now && !holding) {
            Descriptor taken = session.inhibit(WHY);
            synchronized (this) {
                lock = Optional.of(taken);
            }
            LOG.info("a shutdown of this node waits up to {} for its VMs to be saved", max);
        }
    }

    private synchronized void hint() {
        lookNow = true;
        notifyAll();
    }

    private synchronized void lost(String why) {
        connected = false;
        lost = Optional.of(why);
        notifyAll();
    }

    private synchronized String takeLost() {
        String why = lost.orElse("the connection has ended");
        lost = Optional.empty();
        lookNow = false;
        return why;
    }

    private synchronized boolean isConnected() {
        return connected && !closed;
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    private synchronized void await(Duration atMost) throws InterruptedException {
        long end = System.nanoTime() + atMost.toNanos();
        while (!closed && !lookNow && lost.isEmpty()) {
            long leftMillis = Duration.ofNanos(end - System.nanoTime()).toMillis();
            if (leftMillis <= 0) {
                return;
            }
            wait(leftMillis);
        }
        lookNow = false;
    }

    private synchronized void release() {
        if (lock.isPresent()) {
            try {
                lock.get().close();
                LOG.info("a shutdown of this node does not wait for us any more");
            } catch (IOException e) {
                LOG.warn("releasing logind's lock", e);
            }
            lock = Optional.empty();
        }
    }

    /** Lets go of the lock, and ends. */
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
            notifyAll();
        }
        thread.interrupt();
        try {
            thread.join(Duration.ofSeconds(2));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        release();
    }
}
