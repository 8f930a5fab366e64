package dev.torpor.agent.node;

import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * The monitor of the QEMU in a pod's container, and which process that is.
 *
 * @param qmp the connection; closed with this
 * @param process who serves it: a process of that pod's, by its cgroup
 */
public record VmMonitor(QmpClient qmp, ProcessIdentity process) implements AutoCloseable {
    private static final String SOCKET = "qmp.sock";

    /**
     * Connects to the monitor of a pod. The socket is opened without following links, and the very inode that was looked
     * at is connected to.
     *
     * @param podUID the process that serves it must be this pod's
     * @throws TorporException SocketMissing, QMPTimeout, or NotQEMU if it is not a socket, not QEMU, or not this pod's
     */
    public static VmMonitor connect(PodDirectories pods, String podUID, QmpLimits limits) throws TorporException {
        try (Directory volume = pods.volume(podUID);
                Descriptor socket = volume.openFile(SOCKET, Access.NAME_ONLY)) {
            if (!socket.facts().isSocket()) {
                throw new TorporException(
                        FailureReason.NotQEMU, SOCKET + " in the pod's volume torpor is not a socket: remove it");
            }
            QmpClient qmp = QmpClient.connect(socket, limits);
            try {
                return new VmMonitor(qmp, identify(qmp, podUID));
            } catch (TorporException | RuntimeException e) {
                qmp.close();
                throw e;
            }
        } catch (ErrnoException e) {
            throw new TorporException(
                    FailureReason.SocketMissing,
                    e.errno() == ErrnoException.ENOENT
                            ? "there is no QMP socket in the pod's volume torpor: is QEMU started through the launcher?"
                            : "the QMP socket in the pod's volume torpor cannot be opened: links are not followed",
                    e);
        } catch (IOException e) {
            throw new TorporException(
                    FailureReason.SocketMissing, "the pod's volume torpor cannot be opened on its node", e);
        }
    }

    /** Tells whether the process that is meant still is there. */
    public static boolean isAlive(ProcessIdentity process) throws IOException {
        return Proc.bootId().equals(process.bootID())
                && Proc.startTicks(process.pid()).equals(OptionalLong.of(process.startTicks()));
    }

    @Override
    public void close() {
        qmp.close();
    }

    private static ProcessIdentity identify(QmpClient qmp, String podUID) throws TorporException {
        int pid = qmp.peer().pid();
        try {
            OptionalLong startTicks = Proc.startTicks(pid);
            Optional<ContainerCgroup> cgroup =
                    startTicks.isPresent() ? ContainerCgroup.of(Proc.cgroups(pid)) : Optional.empty();
            // The same process before and after the look: a pid can be taken again in between.
            if (startTicks.isEmpty() || !startTicks.equals(Proc.startTicks(pid))) {
                throw new TorporException(
                        FailureReason.QEMUGone, "the process that serves the QMP socket is gone, or not visible");
            }
            if (cgroup.isEmpty() || !cgroup.get().podUID().equals(podUID)) {
                throw new TorporException(
                        FailureReason.NotQEMU,
                        "the process that serves the QMP socket is not in a container of the VM's pod");
            }
            return new ProcessIdentity(podUID, cgroup.get().containerID(), Proc.bootId(), pid, startTicks.getAsLong());
        } catch (IOException e) {
            throw new TorporException(FailureReason.QEMUGone, "the process that serves the QMP socket ended", e);
        }
    }
}
