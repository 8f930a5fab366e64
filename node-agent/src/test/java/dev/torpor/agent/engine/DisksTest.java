package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.VmDisks.DiskFile;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.agent.qmp.FakeMonitor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Disks as QEMU tells of them, and as this very process, which plays QEMU, has them open. */
class DisksTest {
    private static final Instant THEN = Instant.parse("2026-01-02T03:04:05.123456789Z");
    private static final DiskFile DISK = new DiskFile("/disks/a", "file", 4096, Optional.of(THEN));

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private interface Test1<R> {
        R with(QmpClient qmp) throws TorporException;
    }

    private <R> R asking(Function<String, String> qemu, Test1<R> test) throws IOException, TorporException {
        Path socket = temp.resolve("qmp.sock");
        QmpLimits limits = new QmpLimits(Duration.ofSeconds(5), Duration.ofSeconds(5), 1 << 20, 64, 10_000, 16, 100);
        try (FakeMonitor _ = new FakeMonitor(socket, FakeMonitor.GREETING, qemu);
                QmpClient qmp = QmpClient.connect(socket, limits)) {
            return test.with(qmp);
        } finally {
            Files.delete(socket);
        }
    }

    private static Function<String, String> answers(String command, String answer) {
        return line -> "{\"id\":"
                + line.replaceAll(".*\"id\":\\s*(\"[^\"]*\"|\\d+).*", "$1").strip() + ","
                + (line.contains(command) ? answer : "\"return\":{}") + "}\n";
    }

    @Test
    void whatMayBeWrittenToIsDescribedAsItIsOpen() throws Exception {
        Path disk = Files.write(temp.resolve("disk"), new byte[4096]);
        Path gone = Files.write(temp.resolve("gone"), new byte[512]);
        try (FileChannel _ = FileChannel.open(disk, StandardOpenOption.READ);
                FileChannel _ = FileChannel.open(gone, StandardOpenOption.READ)) {
            Instant modified = Files.getLastModifiedTime(disk).toInstant();
            // Another file takes the name of what is open: it is not what QEMU has.
            Files.move(disk, temp.resolve("moved"));
            Files.write(disk, new byte[1]);
            Path moved = temp.resolve("moved");
            String nodes = """
                    "return":[
                    {"drv":"qcow2","file":"%1$s","ro":false,"image":{"virtual-size":65536}},
                    {"drv":"file","file":"%1$s","ro":false,"image":{"virtual-size":5000}},
                    {"drv":"file","file":"%2$s","ro":true,"image":{"virtual-size":512}},
                    {"drv":"file","file":"%3$s","ro":false,"image":{"virtual-size":7000}},
                    {"drv":"host_device","file":"/dev/sdx","ro":false,"image":{"virtual-size":9000}},
                    {"drv":"nbd","file":"nbd://example.com","ro":false,"image":{"virtual-size":9}}]""".formatted(moved, gone, disk).replace("\n", "");

            List<DiskFile> others = List.of(
                    new DiskFile(moved.toString(), "file", 4096, Optional.of(modified)),
                    new DiskFile("/dev/sdx", "host_device", 9000, Optional.empty()));
            assertThat(disks(answers("query-named-block-nodes", nodes), _ -> Optional.empty()))
                    .containsAll(others)
                    .contains(new DiskFile(disk.toString(), "file", 7000, Optional.empty()))
                    .hasSize(3);
            // What QEMU has open comes first; the node's own mounts are for what is not to be seen there.
            FileFacts onVolume = new FileFacts(0100600, 0, 1, 2, 8192, 8192, Instant.EPOCH);
            assertThat(disks(answers("query-named-block-nodes", nodes), _ -> Optional.of(onVolume)))
                    .containsAll(others)
                    .contains(new DiskFile(disk.toString(), "file", 8192, Optional.of(Instant.EPOCH)))
                    .hasSize(3);
        }
    }

    @Test
    void qemuThatCannotTellOfItsDisksIsSavedWithoutThem() throws Exception {
        String refused = "\"error\":{\"class\":\"GenericError\",\"desc\":\"no\"}";
        assertThat(disks(answers("query-named-block-nodes", refused), _ -> Optional.empty()))
                .isEmpty();
    }

    @Test
    void disksAsTheyWereAreTaken() {
        assertThatCode(() -> Disks.compare(
                        List.of(DISK), List.of(new DiskFile("/disks/new", "file", 1, Optional.empty()), DISK)))
                .doesNotThrowAnyException();
        DiskFile device = new DiskFile("/dev/sdx", "host_device", 9000, Optional.empty());
        assertThatCode(() -> Disks.compare(List.of(device), List.of(device))).doesNotThrowAnyException();
    }

    @ParameterizedTest
    @CsvSource(
            nullValues = "none",
            delimiter = '|',
            value = {
                "/disks/b|4096|2026-01-02T03:04:05.123456789Z|it is not among those of the QEMU that is to be resumed",
                "/disks/a|4608|2026-01-02T03:04:05.123456789Z|it has 4608 bytes and had 4096",
                "/disks/a|4096|2026-01-02T03:04:05.123456790Z|it was last written to at 2026-01-02T03:04:05.123456790Z, and at 2026-01-02T03:04:05.123456789Z when it was saved",
                "/disks/a|4096|none|it cannot be looked at",
            })
    void diskThatIsNotWhatItWasIsRefused(String file, long sizeBytes, Instant modifiedAt, String why) {
        DiskFile now = new DiskFile(file, "file", sizeBytes, Optional.ofNullable(modifiedAt));
        TorporException e =
                catchThrowableOfType(TorporException.class, () -> Disks.compare(List.of(DISK), List.of(now)));
        assertThat(e.reason()).isEqualTo(FailureReason.DisksMovedOn);
        assertThat(e)
                .hasMessageStartingWith("disk /disks/a is not what it was when the VM was saved: " + why + ": put");
    }

    @ParameterizedTest
    @CsvSource({
        "CommandNotFound,The command blockdev-set-active has not been found,none",
        "GenericError,Failed to get \"write\" lock,DiskLocked",
        "GenericError,Failed to get shared \"write\" lock,DiskLocked",
        "GenericError,Could not reopen file: Permission denied,QMPCommandFailed",
    })
    void whyDisksCannotBeHad(String errorClass, String description, String reason) throws Exception {
        String error =
                "\"error\":{\"class\":\"%s\",\"desc\":\"%s\"}".formatted(errorClass, description.replace("\"", "\\\""));
        String found = asking(answers("blockdev-set-active", error), qmp -> {
            try {
                Disks.activate(qmp);
                return "none";
            } catch (TorporException e) {
                return e.reason().name();
            }
        });
        assertThat(found).isEqualTo(reason);
    }

    @Test
    void guestWhoseDiskIsLockedIsNotContinued() throws Exception {
        String error = "\"error\":{\"class\":\"GenericError\",\"desc\":\"Failed to get \\\"write\\\" lock\"}";
        TorporException e = asking(
                answers("\"cont\"", error),
                qmp -> catchThrowableOfType(TorporException.class, () -> Guest.resume(qmp)));
        assertThat(e.reason()).isEqualTo(FailureReason.DiskLocked);
    }

    private List<DiskFile> disks(Function<String, String> qemu, Function<String, Optional<FileFacts>> elsewhere)
            throws IOException, TorporException {
        return asking(qemu, qmp -> Disks.writable(qmp, elsewhere));
    }
}
