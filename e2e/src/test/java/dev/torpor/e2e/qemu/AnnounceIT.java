package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.engine.Guest;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.SocketException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the network hears when a guest is announced: RARP frames from its card, as after a migration. */
@Tag("qemu")
class AnnounceIT {
    private static final String MAC = "52:54:00:0a:0b:0c";
    private static final byte[] RARP = {(byte) 0x80, 0x35};
    private static final int PATIENCE_MILLIS = 60_000;

    @Test
    void networkHearsWhereTheGuestIs(@TempDir Path temp) throws Exception {
        int port = unusedPort();
        try (DatagramSocket network = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            network.setSoTimeout(PATIENCE_MILLIS);
            try (Vm vm = Vm.bare(
                    temp,
                    64,
                    "-netdev",
                    "dgram,id=n0,local.type=inet,local.host=127.0.0.1,local.port=" + port
                            + ",remote.type=inet,remote.host=127.0.0.1,remote.port=" + network.getLocalPort(),
                    "-device",
                    "virtio-net-pci,netdev=n0,romfile=,mac=" + MAC)) {
                Guest.announce(vm.qmp());
                byte[] frame = new byte[2048];
                DatagramPacket packet = new DatagramPacket(frame, frame.length);
                // Nothing else on this wire is of interest.
                do {
                    network.receive(packet);
                } while (!Arrays.equals(frame, 12, 14, RARP, 0, 2));

                assertThat(HexFormat.ofDelimiter(":").formatHex(frame, 6, 12))
                        .as("source")
                        .isEqualTo(MAC);
            }
        }
    }

    private static int unusedPort() throws SocketException {
        try (DatagramSocket unused = new DatagramSocket(0, InetAddress.getLoopbackAddress())) {
            return unused.getLocalPort();
        }
    }
}
