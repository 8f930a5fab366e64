package dev.torpor.agent.work;

import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.OptionalLong;
import java.util.function.LongSupplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * How fast this node's VMs are saved: as fast as the last one was. Kept in the store, so that a node that has just booted
 * knows it too. Thread-safe; a rate that cannot be kept is no trouble.
 */
final class SaveRate {
    private static final Logger LOG = LoggerFactory.getLogger(SaveRate.class);
    private static final String FILE = "save-rate";
    private static final int BYTES_MAX = 32;

    private final Directory store;
    private final LongSupplier measured;
    private long kept;

    /** @param measured bytes per second of the last save of this process that tells; 0 if there was none */
    SaveRate(Directory store, LongSupplier measured) {
        this.store = store;
        this.measured = measured;
        this.kept = read(store);
    }

    /** Returns bytes per second; empty if none were ever measured on this store. */
    synchronized OptionalLong bytesPerSecond() {
        long now = measured.getAsLong() > 0 ? measured.getAsLong() : kept;
        return now > 0 ? OptionalLong.of(now) : OptionalLong.empty();
    }

    /** Keeps what was measured since the last call. */
    synchronized void keep() {
        long now = measured.getAsLong();
        if (now <= 0 || now == kept) {
            return;
        }
        try {
            store.replaceFile(FILE, Long.toString(now).getBytes(StandardCharsets.US_ASCII));
        } catch (IOException e) {
            LOG.warn("the rate of the last save is not kept: {}", e.getMessage());
        }
        kept = now;
    }

    private static long read(Directory store) {
        try {
            return Long.parseLong(new String(store.readFile(FILE, BYTES_MAX), StandardCharsets.US_ASCII).strip());
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.ENOENT) {
                LOG.warn("the rate of saves that was kept: {}", e.getMessage());
            }
            return 0;
        } catch (IOException | NumberFormatException e) {
            LOG.warn("the rate of saves that was kept: {}", e.getMessage());
            return 0;
        }
    }
}
