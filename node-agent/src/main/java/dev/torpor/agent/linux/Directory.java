package dev.torpor.agent.linux;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.file.DirectoryStream;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * An open directory. Everything below it is reached by single names relative to its descriptor, with openat2(2) told to
 * stay beneath and to follow no link of any kind: whoever can write there cannot lead us elsewhere, not even by swapping
 * entries while we look.
 */
public final class Directory implements AutoCloseable {
    private static final long RESOLVE = Libc.RESOLVE_BENEATH | Libc.RESOLVE_NO_SYMLINKS | Libc.RESOLVE_NO_MAGICLINKS;
    // struct open_how: u64 flags, u64 mode, u64 resolve
    private static final long OPEN_HOW_BYTES = 24;
    private static final int PRIVATE_FILE = 0600;
    private static final int PRIVATE_DIRECTORY = 0700;
    private static final int AT_FDCWD = -100;

    private final Descriptor descriptor;

    private Directory(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** Opens a directory by a path that the agent's own configuration names; links in that path are followed. */
    public static Directory open(Path path) throws IOException {
        String real = path.toRealPath().toString();
        return new Directory(openAt2(AT_FDCWD, real, Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_CLOEXEC, 0, 0, real));
    }

    /**
     * Opens the directory of this name.
     *
     * @throws ErrnoException ENOENT if it does not exist, ENOTDIR if it is a link or anything else, EXDEV
     *     if another file system is mounted there
     */
    public Directory child(String name) throws IOException {
        return directory(name, RESOLVE | Libc.RESOLVE_NO_XDEV);
    }

    /** Opens the directory of this name, which may be the root of a mounted file system. */
    public Directory childOrMount(String name) throws IOException {
        return directory(name, RESOLVE);
    }

    /** Opens the directory of this name, having made it with mode 0700 if there was none; the maker flushes this one. */
    public Directory childCreating(String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Libc.call(
                    Libc.MKDIRAT,
                    "mkdirat",
                    about(name),
                    descriptor.number(),
                    arena.allocateFrom(checked(name)),
                    PRIVATE_DIRECTORY);
            sync();
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.EEXIST) {
                throw e;
            }
        }
        return child(name);
    }

    /** Opens the file of this name. */
    public Descriptor openFile(String name, Access access) throws IOException {
        return openAt2(
                descriptor.number(), checked(name), access.flags, 0, RESOLVE | Libc.RESOLVE_NO_XDEV, about(name));
    }

    /**
     * Opens the very file that a descriptor names (O_PATH), whatever has become of its name since it was looked at
     * (proc(5), /proc/self/fd).
     */
    public static Descriptor reopen(Descriptor named, Access access) throws IOException {
        // The last step is a link of the kernel's own making, and is meant to be followed.
        int flags = access.flags & ~Libc.O_NOFOLLOW;
        return openAt2(AT_FDCWD, named.path().toString(), flags, 0, 0, named.toString());
    }

    /** Creates a file that did not exist, with mode 0600, open for reading and writing. */
    public Descriptor createFile(String name) throws IOException {
        int flags = Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        return openAt2(
                descriptor.number(), checked(name), flags, PRIVATE_FILE, RESOLVE | Libc.RESOLVE_NO_XDEV, about(name));
    }

    /** Returns type and size of the entry of this name without opening it; empty if there is none. */
    public Optional<FileFacts> facts(String name) throws IOException {
        try (Descriptor file = openFile(name, Access.NAME_ONLY)) {
            return Optional.of(file.facts());
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.ENOENT) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** Returns what fstat(2) tells of this directory itself. */
    public FileFacts facts() throws IOException {
        return descriptor.facts();
    }

    /** Sets the permission bits of this directory itself (fchmod(2)). */
    public void changeMode(int mode) throws IOException {
        descriptor.changeMode(mode);
    }

    /** Renames an entry, replacing the target if it exists. */
    public void rename(String from, String to) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment oldName = arena.allocateFrom(checked(from));
            MemorySegment newName = arena.allocateFrom(checked(to));
            int fd = descriptor.number();
            Libc.call(Libc.RENAMEAT, "rename", about(from) + " to " + to, fd, oldName, fd, newName);
        }
    }

    /** Removes a file's name; false if there was none. */
    public boolean unlink(String name) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            Libc.call(Libc.UNLINKAT, "unlink", about(name), descriptor.number(), arena.allocateFrom(checked(name)), 0);
            return true;
        } catch (ErrnoException e) {
            if (e.errno() == ErrnoException.ENOENT) {
                return false;
            }
            throw e;
        }
    }

    /** Takes an exclusive lock on the directory (flock(2)), held until it is closed; false if somebody else has it. */
    public boolean tryLock() throws IOException {
        return descriptor.tryLock();
    }

    /**
     * Returns the names in this directory, in no order.
     *
     * @param max the most that are looked at: whoever fills the directory must not fill our memory
     */
    public List<String> list(int max) throws IOException {
        Optional<List<String>> simulated = Libc.names(descriptor.number());
        if (simulated.isPresent()) {
            return simulated.get().stream().limit(max).toList();
        }
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(descriptor.path())) {
            for (Path entry : entries) {
                if (names.size() == max) {
                    break;
                }
                names.add(String.valueOf(entry.getFileName()));
            }
        } catch (NoSuchFileException e) {
            return List.of(); // the directory itself was removed while open
        }
        return names;
    }

    /**
     * Replaces a small file as a whole, durably: temporary file, fsync, rename, fsync of this directory. After a crash
     * at any point the old or the new content is there.
     */
    public void replaceFile(String name, byte[] content) throws IOException {
        prepareFile(name, content);
        replaceWithPrepared(name);
    }

    /**
     * Does the first and longer half of {@link #replaceFile}: the new content is on the disk, beside the old one and of no
     * effect. {@link #replaceWithPrepared} does the rest.
     */
    public void prepareFile(String name, byte[] content) throws IOException {
        String temporary = temporary(name);
        unlink(temporary);
        try (Descriptor file = createFile(temporary)) {
            file.write(ByteBuffer.wrap(content), 0);
            file.flush();
        }
    }

    /**
     * Replaces a file with what {@link #prepareFile} wrote last, durably.
     *
     * @throws ErrnoException ENOENT if nothing is prepared
     */
    public void replaceWithPrepared(String name) throws IOException {
        renamePrepared(name);
        sync();
    }

    /** Does the same, but it is on the disk only after {@link #sync}. Until then, a crash leaves the old content or the new. */
    public void renamePrepared(String name) throws IOException {
        rename(temporary(name), name);
    }

    /** Removes what {@link #prepareFile} wrote, if it was not used. Returns whether there was something; it is gone after {@link #sync}. */
    public boolean forgetPrepared(String name) throws IOException {
        return unlink(temporary(name));
    }

    private static String temporary(String name) {
        return "." + name + ".new";
    }

    /**
     * Reads a small file as a whole.
     *
     * @param maxBytes the longest that is accepted
     * @throws IOException if it is longer, or not a regular file
     */
    public byte[] readFile(String name, int maxBytes) throws IOException {
        // Looked at first: opening a FIFO or a device could block or have effects. What is opened then is what was
        // looked at.
        try (Descriptor named = openFile(name, Access.NAME_ONLY)) {
            if (!named.facts().isRegularFile()) {
                throw new IOException(about(name) + " is not a regular file");
            }
            return readFile(named, name, maxBytes);
        }
    }

    private byte[] readFile(Descriptor named, String name, int maxBytes) throws IOException {
        try (Descriptor file = reopen(named, Access.READ)) {
            FileFacts facts = file.facts();
            if (!facts.isRegularFile() || facts.sizeBytes() > maxBytes) {
                throw new IOException(
                        about(name) + " has " + facts.sizeBytes() + " bytes; at most " + maxBytes + " are accepted");
            }
            ByteBuffer content = ByteBuffer.allocate((int) facts.sizeBytes());
            int n = file.read(content, 0);
            return Arrays.copyOf(content.array(), n);
        }
    }

    /** Makes creations, renames and removals in this directory durable (fsync(2)). */
    public void sync() throws IOException {
        descriptor.flush();
    }

    /**
     * Does the same for this directory and all those below it, and looks at as many entries of each as {@link #list} is told
     * to: after it, what is seen there is on the disk. It need not be before, if whoever made the last change died, or was
     * refused, between the change and its flush. Mounts are left out.
     *
     * @param levels of directories below this one
     */
    public void syncTree(int levels, int entriesMax) throws IOException {
        sync();
        if (levels == 0) {
            return;
        }
        for (String name : list(entriesMax)) {
            try {
                if (facts(name).filter(FileFacts::isDirectory).isPresent()) {
                    try (Directory child = child(name)) {
                        child.syncTree(levels - 1, entriesMax);
                    }
                }
            } catch (ErrnoException e) {
                if (e.errno() != ErrnoException.ENOENT && e.errno() != ErrnoException.EXDEV) {
                    throw e;
                }
            }
        }
    }

    /**
     * Returns the bytes that may still be written to this directory's file system without special rights; as many as can be
     * if it does not say how large it is (ramfs, some of FUSE).
     */
    public long freeBytes() throws IOException {
        OptionalLong simulated = Libc.freeBytes(descriptor.number());
        if (simulated.isPresent()) {
            return simulated.getAsLong();
        }
        FileStore fileSystem = Files.getFileStore(descriptor.path());
        return fileSystem.getTotalSpace() == 0 ? Long.MAX_VALUE : fileSystem.getUsableSpace();
    }

    /** Returns the bytes of this directory's file system, those in use too; 0 if it does not say how large it is. */
    public long totalBytes() throws IOException {
        return Files.getFileStore(descriptor.path()).getTotalSpace();
    }

    /** Returns a path that names this open directory itself, for handing to a library; never for names below it. */
    public Path path() {
        return descriptor.path();
    }

    @Override
    public void close() throws IOException {
        descriptor.close();
    }

    @Override
    public String toString() {
        return descriptor.toString();
    }

    private Directory directory(String name, long resolve) throws IOException {
        int flags = Libc.O_RDONLY | Libc.O_DIRECTORY | Libc.O_NOFOLLOW | Libc.O_CLOEXEC;
        return new Directory(openAt2(descriptor.number(), checked(name), flags, 0, resolve, about(name)));
    }

    private String about(String name) {
        return descriptor + "/" + name;
    }

    private static String checked(String name) {
        if (name.isEmpty() || name.equals(".") || name.equals("..") || name.indexOf('/') >= 0 || name.indexOf(0) >= 0) {
            throw new IllegalArgumentException("not a single name: '" + name + "'");
        }
        return name;
    }

    private static Descriptor openAt2(int directory, String name, int flags, int mode, long resolve, String about)
            throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment how = arena.allocate(OPEN_HOW_BYTES, Long.BYTES);
            how.set(ValueLayout.JAVA_LONG, 0, flags);
            how.set(ValueLayout.JAVA_LONG, 8, mode);
            how.set(ValueLayout.JAVA_LONG, 16, resolve);
            long fd = Libc.call(
                    Libc.SYSCALL,
                    "open",
                    about,
                    Libc.SYS_OPENAT2,
                    directory,
                    arena.allocateFrom(name),
                    how,
                    OPEN_HOW_BYTES);
            return new Descriptor((int) fd, about);
        }
    }
}
