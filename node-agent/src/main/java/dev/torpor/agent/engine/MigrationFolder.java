package dev.torpor.agent.engine;

import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * A folder that QEMU and we both reach, for the sockets of a migration. Whoever can write there may exchange what is in it:
 * who is on the other end of a connection is asked of the kernel.
 *
 * @param opener opens it for us
 * @param pathForQemu where it is for QEMU
 */
public record MigrationFolder(Opener opener, String pathForQemu) {
    private static final String SOCKET = "migration.sock";
    // struct sockaddr_un of unix(7), with its final zero
    private static final int SOCKET_PATH_BYTES_MAX = 107;

    /** Opens the folder; the caller closes it. */
    @FunctionalInterface
    public interface Opener {
        Directory open() throws IOException;
    }

    /** Returns the socket's name in the folder. */
    String socketName() {
        return SOCKET;
    }

    /**
     * Returns what QEMU is told.
     *
     * @throws IOException if no socket can have so long a path
     */
    String uri() throws IOException {
        String path = pathForQemu + "/" + SOCKET;
        int bytes = path.getBytes(StandardCharsets.UTF_8).length;
        // A comma would begin an option of the address.
        if (bytes > SOCKET_PATH_BYTES_MAX || path.indexOf(',') >= 0) {
            throw new IOException("no socket can have the path " + path + ", of " + bytes + " bytes");
        }
        return "unix:" + path;
    }
}
