package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.concurrent.ThreadLocalRandom;

/** Finds TCP ports that nobody listens on. */
public final class FreePorts {
    /** Below what Linux gives to connections (32768 and up) and Kubernetes to NodePorts (30000 and up). */
    private static final int FIRST = 10_000;

    private static final int END = 30_000;
    private static final int TRIES_MAX = 100;

    private FreePorts() {}

    /** Returns a port that was free a moment ago, and that no connection gets meanwhile. */
    public static int take() {
        for (int tries = 1; ; tries++) {
            int port = ThreadLocalRandom.current().nextInt(FIRST, END);
            try (ServerSocket socket = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return socket.getLocalPort();
            } catch (IOException e) {
                if (tries == TRIES_MAX) {
                    throw new IllegalStateException("no free port from " + FIRST + " to " + END, e);
                }
            }
        }
    }
}
