package dev.torpor.agent.work;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import java.io.IOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What became of the VMs at the node's last shutdown: kept in the store, for who looks after the boot. Thread-safe. */
final class ShutdownReports {
    private static final Logger LOG = LoggerFactory.getLogger(ShutdownReports.class);
    private static final String FILE = "shutdown.json";
    private static final int BYTES_MAX = 1 << 20;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Directory store;
    private Optional<NodeShutdownStatus> last;

    ShutdownReports(Directory store) {
        this.store = store;
        this.last = read(store);
    }

    synchronized Optional<NodeShutdownStatus> last() {
        return last;
    }

    /** Keeps a report; on return it is on the disk, or the log says why not. */
    synchronized void keep(NodeShutdownStatus report) {
        last = Optional.of(report);
        try {
            store.replaceFile(FILE, JSON.writeValueAsBytes(report));
        } catch (IOException e) {
            LOG.error("what became of the VMs at this shutdown cannot be kept: {}", e.getMessage());
        }
    }

    private static Optional<NodeShutdownStatus> read(Directory store) {
        try {
            return Optional.of(JSON.readValue(store.readFile(FILE, BYTES_MAX), NodeShutdownStatus.class));
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.ENOENT) {
                LOG.warn("what was kept of the last shutdown: {}", e.getMessage());
            }
            return Optional.empty();
        } catch (IOException e) {
            LOG.warn("what was kept of the last shutdown: {}", e.getMessage());
            return Optional.empty();
        }
    }
}
