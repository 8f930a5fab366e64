package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Descriptors of one file, handed to QEMU as a set it can open by the path {@code /dev/fdset/N} (docs/devel/migration of
 * QEMU: one without and, for direct I/O, one with O_DIRECT, each from an open() of its own; access exactly O_WRONLY to
 * save and O_RDONLY to load). A set that breaks these rules kills QEMU 10.0.2 and 11.1.3, so it is checked here.
 */
final class FdSet {
    // QEMU keeps a text with each descriptor: ours begins so, and goes on with the note.
    private static final String OURS = "torpor ";
    private static final Path DEVICES = Path.of("/dev");

    private final long id;

    private FdSet(long id) {
        this.id = id;
    }

    /**
     * Hands over the descriptors; the caller keeps and closes its own copies.
     *
     * @param note kept by QEMU for whoever calls {@link #removeOurs}
     */
    static FdSet add(QmpClient qmp, List<Descriptor> descriptors, boolean directIO, boolean toSave, String note)
            throws TorporException {
        check(descriptors, directIO, toSave);
        // QEMU makes the set with the first descriptor, and says which it is.
        FdSet fdSet = first(qmp, descriptors.getFirst(), note);
        long id = fdSet.id;
        try {
            for (Descriptor descriptor : descriptors.subList(1, descriptors.size())) {
                qmp.execute("add-fd", Map.of("fdset-id", id, "opaque", OURS), descriptor);
            }
            if (descriptors.size() == 1) {
                return fdSet; // the answer has said so
            }
            for (JsonNode set : qmp.execute("query-fdsets")) {
                if (set.path("fdset-id").asLong() == id && set.path("fds").size() == descriptors.size()) {
                    return fdSet;
                }
            }
            throw new TorporException(
                    FailureReason.QMPCommandFailed,
                    "QEMU did not keep the " + descriptors.size() + " descriptors it was sent");
        } catch (TorporException e) {
            if (e.reason() == FailureReason.QMPCommandFailed) {
                removeAfter(e, qmp, fdSet);
            }
            throw e;
        }
    }

    /** Chooses a set of one file that QEMU is to load from, for {@link #adding}: none of a number that is in use. */
    static FdSet chooseToLoad(Descriptor file) throws TorporException {
        check(List.of(file), false, false);
        return new FdSet(ThreadLocalRandom.current().nextInt(Integer.MAX_VALUE));
    }

    /** Returns the command that makes the set; the descriptor is to be sent with it. */
    QmpCommand adding(String note) {
        return new QmpCommand("add-fd", Map.of("fdset-id", id, "opaque", OURS + note));
    }

    private static void removeAfter(TorporException failure, QmpClient qmp, FdSet fdSet) {
        try {
            fdSet.remove(qmp);
        } catch (TorporException e) {
            failure.addSuppressed(e);
        }
    }

    /**
     * Has QEMU keep a note and nothing else of use: /dev/null comes with it. A descriptor must come along, and be an open one: QEMU
     * makes whatever it receives blocking, and may die of one that only names a file (O_PATH), as fcntl(2) refuses that (an
     * assertion in qemu_set_block of 6.2; 5.2, 10.2 and 11.1 ended too).
     */
    static FdSet keep(QmpClient qmp, String note) throws TorporException {
        try (Directory devices = Directory.open(DEVICES);
                Descriptor nothing = devices.openFile("null", Access.READ)) {
            return first(qmp, nothing, note);
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "cannot open /dev/null: " + e.getMessage(), e);
        }
    }

    private static FdSet first(QmpClient qmp, Descriptor descriptor, String note) throws TorporException {
        JsonNode added = qmp.execute("add-fd", Map.of("opaque", OURS + note), descriptor);
        if (!added.path("fdset-id").isIntegralNumber()) {
            throw new TorporException(FailureReason.QMPCommandFailed, "QEMU does not say where it keeps a descriptor");
        }
        return new FdSet(added.path("fdset-id").asLong());
    }

    /** Returns the notes of all sets that we added, also in an earlier life of the agent, in QEMU's order. */
    static List<String> notes(QmpClient qmp) throws TorporException {
        List<String> notes = new ArrayList<>();
        for (JsonNode set : qmp.execute("query-fdsets")) {
            String opaque = set.path("fds").path(0).path("opaque").asText();
            if (opaque.startsWith(OURS)) {
                notes.add(opaque.substring(OURS.length()));
            }
        }
        return notes;
    }

    /**
     * Removes every set that we ever added, also in an earlier life of the agent.
     *
     * @return the note of the first, if there was one
     */
    static Optional<String> removeOurs(QmpClient qmp) throws TorporException {
        Optional<String> note = Optional.empty();
        for (JsonNode set : qmp.execute("query-fdsets")) {
            String opaque = set.path("fds").path(0).path("opaque").asText();
            if (opaque.startsWith(OURS)) {
                new FdSet(set.path("fdset-id").asLong()).remove(qmp);
                note = note.or(() -> Optional.of(opaque.substring(OURS.length())));
            }
        }
        return note;
    }

    String uri(long offsetBytes) {
        return "file:/dev/fdset/" + id + ",offset=" + offsetBytes;
    }

    /** Has QEMU close the set; a set that is gone already is fine. */
    void remove(QmpClient qmp) throws TorporException {
        try {
            qmp.execute("remove-fd", Map.of("fdset-id", id));
        } catch (QmpCommandException e) {
            for (JsonNode set : qmp.execute("query-fdsets")) {
                if (set.path("fdset-id").asLong() == id) {
                    throw e;
                }
            }
        }
    }

    private static void check(List<Descriptor> descriptors, boolean directIO, boolean toSave) throws TorporException {
        try {
            boolean right = descriptors.size() == (directIO ? 2 : 1);
            for (int i = 0; i < descriptors.size(); i++) {
                var flags = descriptors.get(i).flags();
                right &= toSave ? flags.writeOnly() : flags.readOnly();
                right &= flags.direct() == (i == 1);
            }
            if (!right) {
                throw new IllegalArgumentException("wrong descriptors for QEMU: " + descriptors);
            }
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "cannot look at the image's descriptors", e);
        }
    }
}
