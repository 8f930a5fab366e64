package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.VmDisks.DiskFile;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The disks of a VM, as far as a guest's memory depends on them: whether they are what they were when it was saved, and
 * whether QEMU may have them. A QEMU that waits for an image has them open, and neither locks nor writes them.
 */
public final class Disks {
    // QEMU's drivers for files and block devices of the host (block/file-posix.c); of those of networks nothing is
    // known.
    private static final String FILE = "file";
    private static final Set<String> LOCAL = Set.of(FILE, "host_device");
    private static final int FILES_MAX = 256;
    private static final int NAME_LENGTH_MAX = 1024;

    private static final Duration LOCK_PATIENCE = Duration.ofSeconds(5);
    private static final Duration LOCK_LOOK = Duration.ofMillis(200);

    private Disks() {}

    /**
     * Returns what QEMU has open to write to, in QEMU's order. Of a VM that is being saved it is to be asked when the save is
     * complete: QEMU writes what it keeps of a qcow2 image's bitmaps when it lets go of it (tried on 10.0.2).
     *
     * @param elsewhere finds a file by the name that QEMU has for it, where its open files may not be looked at
     * @return empty if QEMU cannot tell
     */
    public static List<DiskFile> writable(QmpClient qmp, Function<String, Optional<FileFacts>> elsewhere)
            throws TorporException {
        JsonNode nodes;
        try {
            nodes = qmp.execute("query-named-block-nodes", Map.of("flat", true)); // flat: QEMU 5.0
        } catch (QmpCommandException e) {
            return List.of();
        }
        List<JsonNode> disks = new ArrayList<>();
        for (JsonNode node : nodes) {
            if (LOCAL.contains(driver(node))
                    && !node.path("ro").asBoolean()
                    && name(node).length() <= NAME_LENGTH_MAX
                    && disks.size() < FILES_MAX) {
                disks.add(node);
            }
        }
        Map<String, Proc.OpenFile> open = open(
                qmp,
                disks.stream()
                        .filter(node -> driver(node).equals(FILE))
                        .map(Disks::name)
                        .collect(Collectors.toSet()));
        return disks.stream()
                .map(node -> file(node, Optional.ofNullable(open.get(name(node))), elsewhere))
                .toList();
    }

    private static DiskFile file(
            JsonNode node, Optional<Proc.OpenFile> open, Function<String, Optional<FileFacts>> elsewhere) {
        long known = Math.max(0, node.path("image").path("virtual-size").asLong());
        if (!driver(node).equals(FILE)) {
            return new DiskFile(name(node), driver(node), known, Optional.empty());
        }
        Optional<Proc.OpenFile> file = open.or(() -> elsewhere
                        .apply(name(node))
                        .map(facts -> new Proc.OpenFile(facts.isRegularFile(), facts.sizeBytes(), facts.modifiedAt())))
                .filter(Proc.OpenFile::regular);
        return new DiskFile(
                name(node),
                driver(node),
                file.map(Proc.OpenFile::sizeBytes).orElse(known),
                file.map(Proc.OpenFile::modifiedAt));
    }

    private static String name(JsonNode node) {
        return node.path("file").asText();
    }

    private static String driver(JsonNode node) {
        return node.path("drv").asText();
    }

    private static Map<String, Proc.OpenFile> open(QmpClient qmp, Set<String> names) {
        if (names.isEmpty()) {
            return Map.of();
        }
        try {
            int pid = qmp.peer().pid();
            return pid == 0 ? Map.of() : Proc.openFiles(pid, names);
        } catch (IOException | TorporException e) {
            return Map.of(); // another user's process, or it has just ended: the next command tells
        }
    }

    /**
     * Compares the disks of the QEMU that is to be resumed with what was saved, before it is fed. That it has others in addition
     * is for {@link RestoreChecks}.
     *
     * @throws TorporException DisksMovedOn for the first one that is not what it was
     */
    public static void compare(List<DiskFile> saved, List<DiskFile> now) throws TorporException {
        for (DiskFile before : saved) {
            DiskFile after = now.stream()
                    .filter(file -> file.file().equals(before.file()))
                    .findFirst()
                    .orElseThrow(() -> movedOn(before, "is not among those of the QEMU that is to be resumed"));
            if (after.sizeBytes() != before.sizeBytes()) {
                throw movedOn(before, "has %d bytes and had %d".formatted(after.sizeBytes(), before.sizeBytes()));
            }
            Instant then = before.modifiedAt().orElse(null);
            if (then != null && !Objects.equals(then, after.modifiedAt().orElse(null))) {
                throw movedOn(
                        before,
                        after.modifiedAt()
                                .map(time ->
                                        "was last written to at %s, and at %s when it was saved".formatted(time, then))
                                .orElse("cannot be looked at"));
            }
        }
    }

    private static TorporException movedOn(DiskFile disk, String why) {
        return new TorporException(
                FailureReason.DisksMovedOn,
                "disk " + disk.file() + " is not what it was when the VM was saved: it " + why
                        + ": put the disks back as they were and make a VMRestore that says disks: Restored, or disks: Ephemeral"
                        + " if they do not matter; the guest's memory does not fit disks that went on without it");
    }

    /**
     * Has QEMU take the disks for itself before its guest runs, which shows whether it can. QEMU before 10.0 takes them with
     * {@code cont} only ({@code blockdev-set-active}, QEMU 10.0).
     *
     * @throws TorporException DiskLocked if another process still has one, after a while; QMPCommandFailed if one cannot be had
     *     for another reason
     */
    public static void activate(QmpClient qmp) throws TorporException {
        long end = System.nanoTime() + LOCK_PATIENCE.toNanos();
        while (true) {
            try {
                qmp.execute("blockdev-set-active", Map.of("active", true));
                return;
            } catch (QmpCommandException e) {
                if (e.commandNotFound()) {
                    return;
                }
                TorporException locked = orLocked(e);
                if (locked.reason() != FailureReason.DiskLocked || System.nanoTime() - end > 0) {
                    throw locked;
                }
            }
            LockSupport.parkNanos(LOCK_LOOK.toNanos());
        }
    }

    /** Returns what an error of QEMU's is: one of locks is told in English only (block/file-posix.c, QEMU 2.10 to 11). */
    static TorporException orLocked(QmpCommandException e) {
        String said = e.description();
        return said.contains("Failed to get") && said.contains("lock")
                ? new TorporException(
                        FailureReason.DiskLocked,
                        "another process has a disk of the VM open: its guest runs when that one lets go of it; see which pod or"
                                + " program uses the same volume (" + said + ")",
                        e)
                : e;
    }
}
