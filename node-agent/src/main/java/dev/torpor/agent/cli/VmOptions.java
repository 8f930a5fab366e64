package dev.torpor.agent.cli;

import dev.torpor.agent.engine.MigrationFolder;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.linux.Directory;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Which VM, and where its images are. */
final class VmOptions {
    @Option(names = "--qmp", required = true, paramLabel = "SOCKET", description = "QEMU's QMP socket.")
    @SuppressWarnings("NullAway.Init")
    Path socket;

    @Option(
            names = "--store",
            required = true,
            paramLabel = "DIR",
            description = "Folder of the images; not one that an agent owns.")
    @SuppressWarnings("NullAway.Init")
    Path store;

    @Option(names = "--namespace", required = true, paramLabel = "NS", description = "Namespace of the VM.")
    @SuppressWarnings("NullAway.Init")
    String namespace;

    @Option(names = "--vm", required = true, paramLabel = "NAME", description = "Name of the VM.")
    @SuppressWarnings("NullAway.Init")
    String vm;

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    /** Returns the folder of QEMU's socket, which we and QEMU are taken to see at the same place. */
    MigrationFolder folder() throws TorporException {
        Path folder = socket.toAbsolutePath().getParent();
        if (folder == null) {
            throw new TorporException(FailureReason.SocketMissing, socket + " is not a socket");
        }
        return new MigrationFolder(() -> Directory.open(folder), folder.toString());
    }

    ImageId image(String uid) {
        try {
            return new ImageId(namespace, vm, uid);
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), String.valueOf(e.getMessage()), e);
        }
    }
}
