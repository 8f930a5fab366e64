package dev.torpor.e2e.qemu;

import dev.torpor.agent.engine.MigrationFolder;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.QemuProcess;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/**
 * A QEMU with our client on its monitor. Killed when closed.
 *
 * @param process the process
 * @param qmp the only client of its monitor
 */
record Vm(QemuProcess process, QmpClient qmp) implements AutoCloseable {
    static final int MEMORY_MIB = 160;
    static final int BELOW_4G_MIB = 96;
    private static final int FILL_MIB = 16;
    private static final String[] INCOMING = {"-incoming", "defer"};

    /** Starts the tests' guest, with a part of its small memory above 4 GiB, as that of large ones is. */
    static Vm guest(Path folder, String... more) throws IOException, TorporException {
        return start(folder, guestArguments(more));
    }

    /** Returns what QEMU is told for the tests' guest. */
    static List<String> guestArguments(String... more) {
        List<String> arguments = new ArrayList<>(GuestImage.get().arguments(MEMORY_MIB, FILL_MIB));
        arguments.addAll(List.of("-machine", "max-ram-below-4g=" + BELOW_4G_MIB + "M"));
        arguments.addAll(List.of(more));
        return arguments;
    }

    /** Starts the tests' guest in another QEMU than the installed one. */
    static Vm guestOf(String qemu, Path folder, String... more) throws IOException, TorporException {
        return connect(QemuProcess.start(qemu, folder, guestArguments(more)));
    }

    /** Starts whatever the arguments say. */
    static Vm start(Path folder, List<String> arguments) throws IOException, TorporException {
        return connect(QemuProcess.start(folder, arguments));
    }

    /** Starts whatever the arguments say in another QEMU. */
    static Vm start(String qemu, Path folder, List<String> arguments) throws IOException, TorporException {
        return connect(QemuProcess.start(qemu, folder, arguments));
    }

    /** Starts the same machine to be resumed. */
    static Vm incomingGuest(Path folder) throws IOException, TorporException {
        return guest(folder, INCOMING);
    }

    /** Starts a machine with firmware and nothing to boot, as small and quick as they come. */
    static Vm bare(Path folder, int memoryMiB, String... more) throws IOException, TorporException {
        List<String> arguments = new ArrayList<>(GuestImage.machine(memoryMiB));
        arguments.addAll(List.of(more));
        return connect(QemuProcess.start(folder, arguments));
    }

    private static Vm connect(QemuProcess process) throws TorporException {
        try {
            return new Vm(process, QmpClient.connect(process.socket(), QmpLimits.DEFAULT));
        } catch (TorporException e) {
            process.close();
            throw e;
        }
    }

    /** Closes the connection to its monitor, and makes another. This one is of no use then. */
    Vm reconnected() throws TorporException {
        qmp.close();
        return new Vm(process, QmpClient.connect(process.socket(), QmpLimits.DEFAULT));
    }

    /** Returns the folder for a migration's sockets, which QEMU and the test see at the same place. */
    MigrationFolder folder() {
        Path folder = Objects.requireNonNull(process.socket().getParent());
        return new MigrationFolder(() -> Directory.open(folder), folder.toString());
    }

    @Override
    public void close() {
        try (process) {
            qmp.close();
        }
    }
}
