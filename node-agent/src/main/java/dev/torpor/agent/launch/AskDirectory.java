package dev.torpor.agent.launch;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * The directory that a VM's launcher and the agent share, seen by the agent. The VM can write to it, so anything may be
 * in it. The directory stays the caller's to close.
 */
public final class AskDirectory {
    /** Most entries that are looked at: a launcher makes two at a time. */
    private static final int ENTRIES_MAX = 256;
    /** Most asks that are answered: one container asks once at a time, older ones are from processes that are gone. */
    private static final int ASKS_MAX = 8;

    /** A hook says its version, its id of at most 64 characters and its kind. */
    private static final int HOOK_BYTES_MAX = 256;

    private static final String ASK = "ask.";
    private static final String ANSWER = "answer.";
    // pipe(7): so many bytes go into a FIFO together, or none.
    private static final int PIPE_BUF_BYTES = 4096;
    // errno-base.h; a directory in place of an ask is left alone.
    private static final int EISDIR = 21;
    private static final long NAP_NANOS = Duration.ofMillis(1).toNanos();

    private final Directory directory;

    public AskDirectory(Directory directory) {
        this.directory = directory;
    }

    /** What became of an answer. */
    public enum Delivery {
        /** All of it is in the launcher's FIFO. */
        DELIVERED,
        /** The launcher is gone, or what is there is not its FIFO; the ask was removed. */
        NOBODY_ASKS,
        /** The FIFO stayed full: the launcher does not read (yet). */
        FULL
    }

    /** Returns the ids of the asks that are there, some of them if there are absurdly many. */
    public List<String> asks() throws IOException {
        List<String> ids = new ArrayList<>();
        for (String name : directory.list(ENTRIES_MAX)) {
            if (ids.size() < ASKS_MAX && name.startsWith(ASK) && Ask.isId(name.substring(ASK.length()))) {
                ids.add(name.substring(ASK.length()));
            }
        }
        return ids;
    }

    /**
     * Reads an ask.
     *
     * @throws MalformedAskException if what is there is not an ask, or not a file
     */
    public Asked read(String id) throws MalformedAskException {
        try {
            return Asked.parse(id, directory.readFile(ASK + id, Ask.BYTES_MAX));
        } catch (IOException e) {
            throw new MalformedAskException("it cannot be read: " + e.getMessage(), e);
        }
    }

    /** Tells whether an ask is a hook's, which is short; cheap, whatever is there. */
    public boolean isOfHook(String id) {
        try {
            return Asked.parse(id, directory.readFile(ASK + id, HOOK_BYTES_MAX)) instanceof StopAsk;
        } catch (IOException | MalformedAskException e) {
            return false;
        }
    }

    /** Tells whether a process waits for the answer. An ask whose process is gone is removed. */
    public boolean isAwaited(String id) throws IOException {
        try (Descriptor fifo = openAnswer(id)) {
            return fifo.facts().isFifo();
        } catch (ErrnoException e) {
            forget(id);
            return false;
        }
    }

    /**
     * Answers an ask. Answering twice is harmless, and after {@link Delivery#FULL} it is necessary.
     *
     * @param patience how long to wait for a launcher that does not read
     */
    public Delivery answer(String id, Answer answer, Duration patience) throws IOException {
        long end = System.nanoTime() + patience.toNanos();
        byte[] bytes = answer.encode();
        try (Descriptor fifo = openAnswer(id)) {
            if (!fifo.facts().isFifo()) {
                forget(id);
                return Delivery.NOBODY_ASKS;
            }
            for (int i = 0; i < bytes.length; i += PIPE_BUF_BYTES) {
                byte[] part = Arrays.copyOfRange(bytes, i, Math.min(i + PIPE_BUF_BYTES, bytes.length));
                while (!fifo.offer(part)) {
                    if (System.nanoTime() - end > 0) {
                        return Delivery.FULL;
                    }
                    LockSupport.parkNanos(NAP_NANOS);
                }
            }
            return Delivery.DELIVERED;
        } catch (ErrnoException e) {
            // ENXIO: nobody holds it open; EPIPE: nobody any more; the rest: it is something else by now.
            forget(id);
            return Delivery.NOBODY_ASKS;
        }
    }

    private Descriptor openAnswer(String id) throws IOException {
        // Looked at first: opening a device could have effects. What is opened then is what was looked at.
        Descriptor named = directory.openFile(ANSWER + id, Access.NAME_ONLY);
        try {
            if (!named.facts().isFifo()) {
                return named;
            }
            Descriptor fifo = Directory.reopen(named, Access.WRITE_FIFO);
            named.close();
            return fifo;
        } catch (IOException e) {
            named.close();
            throw e;
        }
    }

    private void forget(String id) throws IOException {
        try {
            directory.unlink(ASK + id);
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.EPERM && e.errno() != ErrnoException.ENOENT && e.errno() != EISDIR) {
                throw e;
            }
        }
    }
}
