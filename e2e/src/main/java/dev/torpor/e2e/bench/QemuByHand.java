package dev.torpor.e2e.bench;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/** The same save and load with nothing of Torpor's around it: the commands that a person would type, and a flush. */
final class QemuByHand {
    private static final String FILE = "by-hand.img";

    private QemuByHand() {}

    /** Removes the file of the last save. */
    static void forget(Directory directory) throws IOException {
        var _ = directory.unlink(FILE);
        directory.sync();
    }

    static void save(QmpClient qmp, Directory directory, int channels, long offsetBytes)
            throws IOException, TorporException {
        directory.createFile(FILE).close();
        try (Descriptor buffered = directory.openFile(FILE, Access.WRITE);
                Descriptor direct = directory.openFile(FILE, Access.WRITE_DIRECT)) {
            prepare(qmp, channels, buffered, direct);
            qmp.execute("migrate", Map.of("uri", "file:/dev/fdset/99,offset=" + offsetBytes));
            await(qmp);
            buffered.flushData();
        }
        directory.sync();
        qmp.execute("remove-fd", Map.of("fdset-id", 99));
    }

    static void load(QmpClient qmp, Directory directory, String file, int channels, long offsetBytes)
            throws IOException, TorporException {
        try (Descriptor buffered = directory.openFile(file, Access.READ);
                Descriptor direct = directory.openFile(file, Access.READ_DIRECT)) {
            prepare(qmp, channels, buffered, direct);
            qmp.execute(
                    "migrate-incoming",
                    Map.of("uri", "file:/dev/fdset/99,offset=" + offsetBytes, "exit-on-error", false));
            await(qmp);
        }
    }

    private static void prepare(QmpClient qmp, int channels, Descriptor buffered, Descriptor direct)
            throws TorporException {
        qmp.execute(
                "migrate-set-capabilities",
                Map.of(
                        "capabilities",
                        List.of(
                                Map.of("capability", "mapped-ram", "state", true),
                                Map.of("capability", "multifd", "state", true))));
        qmp.execute(
                "migrate-set-parameters",
                Map.of(
                        "multifd-channels",
                        channels,
                        "direct-io",
                        true,
                        "max-bandwidth",
                        0,
                        "zero-page-detection",
                        "multifd"));
        qmp.execute("add-fd", Map.of("fdset-id", 99), buffered);
        qmp.execute("add-fd", Map.of("fdset-id", 99), direct);
    }

    private static void await(QmpClient qmp) throws TorporException {
        while (true) {
            String status = qmp.execute("query-migrate").path("status").asText();
            if (status.equals("completed")) {
                return;
            }
            if (status.equals("failed")) {
                throw new TorporException(FailureReason.SaveFailed, "QEMU failed");
            }
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(5));
        }
    }
}
