package dev.torpor.agent.node;

import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.agent.qmp.GuestAgentException;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;

/** The socket by which a guest's agent is reached, if its owner gave QEMU one in the directory that the pod shares with us. */
public final class GuestChannel {
    private static final String SOCKET = "qga.sock";

    private GuestChannel() {}

    /**
     * Connects to the agent in the guest of a QEMU.
     *
     * @param qemu who must serve the socket
     * @param deadline for everything that is done with it
     * @return empty if the VM has no such socket
     * @throws GuestAgentException if it has one, and no agent that answers
     */
    public static Optional<GuestAgentClient> connect(PodDirectories pods, ProcessIdentity qemu, Duration deadline)
            throws GuestAgentException {
        try (Directory volume = pods.volume(qemu.podUID())) {
            if (volume.facts(SOCKET).isEmpty()) {
                return Optional.empty();
            }
            try (Descriptor socket = volume.openFile(SOCKET, Access.NAME_ONLY)) {
                if (!socket.facts().isSocket()) {
                    throw new GuestAgentException(SOCKET + " in the pod's volume torpor is not a socket", null);
                }
                GuestAgentClient client = GuestAgentClient.connect(socket, deadline);
                if (client.peer().pid() != qemu.pid() || !VmMonitor.isAlive(qemu)) {
                    client.close();
                    throw new GuestAgentException("the guest agent's socket is not served by the VM's QEMU", null);
                }
                return Optional.of(client);
            }
        } catch (IOException e) {
            throw new GuestAgentException("the guest agent's socket cannot be opened", e);
        }
    }
}
