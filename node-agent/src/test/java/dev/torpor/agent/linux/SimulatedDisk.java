package dev.torpor.agent.linux;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * A disk in memory below the calls that the agent makes, which knows what was flushed and what was not: its power can be cut.
 * Then of what was written since the last fsync(2) of a file any sectors are there, and of the changes to a directory since
 * its last fsync the first few, or any. No more is promised by POSIX, and more than ext4 or XFS keep: they would bring a new
 * file's name to the disk with its content.
 */
public final class SimulatedDisk {
    /** What may go wrong with a call. */
    public enum Fault {
        EIO,
        ENOSPC,
        SHORT
    }

    /** Asked before each call that reads or changes something; may throw an {@link Error}, which ends the process. */
    public interface Trap {
        Optional<Fault> before();

        /** For who wants to know which call it is. */
        default Optional<Fault> before(String call) {
            return before();
        }
    }

    private static final int PAGE = 4096;
    private static final int SECTOR = 512;
    private static final int FIRST_DESCRIPTOR = 1 << 24;
    private static final int EIO = 5;
    private static final long FREE = 1L << 40;
    private static final int S_IFREG = 0100000;
    private static final int S_IFDIR = 0040000;
    private static final Set<String> TRAPPED =
            Set.of("mkdirat", "rename", "unlink", "pread", "pwrite", "fsync", "fdatasync");

    private static final Map<String, SimulatedDisk> MOUNTED = new ConcurrentHashMap<>();
    private static final Map<Integer, SimulatedDisk> BY_NUMBER = new ConcurrentHashMap<>();

    private final int number;
    private final Inode root;
    private final Map<Integer, Open> open = new HashMap<>();
    private final Trap trap;
    private final Set<String> syncs = new HashSet<>();
    private @Nullable String unsynced;
    private boolean tracing;
    private int descriptors;
    private long changes;
    private long inodes;

    private static final class Inode {
        final long number;
        final boolean directory;
        int mode;
        long time;
        long durableTime;
        // Of a file: pages are replaced, never written to.
        Map<Long, byte[]> pages = new TreeMap<>();
        Map<Long, byte[]> durablePages = new TreeMap<>();
        long size;
        long durableSize;
        // Of a directory.
        TreeMap<String, Inode> entries = new TreeMap<>();
        TreeMap<String, Inode> durable = new TreeMap<>();
        final List<Change> log = new ArrayList<>();

        Inode(long number, boolean directory, int mode) {
            this.number = number;
            this.directory = directory;
            this.mode = mode;
        }

        void apply(Change change) {
            change.to(entries);
            log.add(change);
        }

        void sync() {
            if (directory) {
                durable = new TreeMap<>(entries);
                log.clear();
            } else {
                durablePages = new TreeMap<>(pages);
                durableSize = size;
                durableTime = time;
            }
        }
    }

    /** A change of a directory: a name goes, or comes; a rename is one change. */
    private record Change(
            @Nullable String gone,
            @Nullable String come,
            @Nullable Inode inode) {
        void to(Map<String, Inode> entries) {
            if (gone != null) {
                entries.remove(gone);
            }
            if (come != null && inode != null) {
                entries.put(come, inode);
            }
        }
    }

    private record Open(Inode inode, int flags) {
        boolean writes() {
            int access = flags & Libc.O_ACCMODE;
            return (flags & Libc.O_PATH) == 0 && access != Libc.O_RDONLY;
        }
    }

    private SimulatedDisk(int number, Trap trap) {
        this.number = number;
        this.trap = trap;
        this.root = new Inode(++inodes, true, 0700);
    }

    /**
     * Puts an empty disk in the place of an existing directory, instead of the one that was there before.
     *
     * @param number of the disk, below 100; each of its own
     */
    public static SimulatedDisk mount(Path directory, int number, Trap trap) {
        SimulatedDisk disk = new SimulatedDisk(number, trap);
        MOUNTED.put(directory.toString(), disk);
        BY_NUMBER.put(number, disk);
        Libc.use(new Mounted());
        return disk;
    }

    /** Takes all of them away. */
    public static void unmountAll() {
        Libc.use(null);
        MOUNTED.clear();
        BY_NUMBER.clear();
    }

    private static final class Mounted implements Libc.Disk {
        @Override
        public OptionalLong call(String call, Object... arguments) throws ErrnoException {
            SimulatedDisk disk;
            String path = "";
            int descriptor;
            if (call.equals("open")) {
                descriptor = (int) arguments[1];
                path = ((MemorySegment) arguments[2]).getString(0);
                if (path.startsWith("/proc/self/fd/")) {
                    descriptor = Integer.parseInt(path.substring("/proc/self/fd/".length()));
                    path = ".";
                }
                disk = descriptor < 0 ? MOUNTED.get(path) : of(descriptor);
            } else {
                descriptor = arguments.length > 0 && arguments[0] instanceof Integer fd ? fd : -1;
                disk = of(descriptor);
            }
            return disk == null
                    ? OptionalLong.empty()
                    : OptionalLong.of(disk.carryOut(call, descriptor, path, arguments));
        }

        @Override
        public Optional<List<String>> names(int descriptor) {
            SimulatedDisk disk = of(descriptor);
            return disk == null ? Optional.empty() : Optional.of(disk.namesOf(descriptor));
        }

        @Override
        public OptionalLong freeBytes(int descriptor) {
            return of(descriptor) == null ? OptionalLong.empty() : OptionalLong.of(FREE);
        }

        private static @Nullable SimulatedDisk of(int descriptor) {
            return descriptor < FIRST_DESCRIPTOR ? null : BY_NUMBER.get(descriptor / FIRST_DESCRIPTOR - 1);
        }
    }

    /** From now on the fsyncs of one place in the code have no effect; see {@link #syncs}. */
    public void without(@Nullable String sync) {
        unsynced = sync;
        tracing = true;
    }

    /** Returns the places in the code that flushed something, as {@code Class.method}, if {@link #without} was called. */
    public synchronized Set<String> syncs() {
        return Set.copyOf(syncs);
    }

    /** The process that has files open here is gone; what it wrote is not. */
    public synchronized void processEnds() {
        open.clear();
    }

    /** The power is cut, and comes back. */
    public synchronized void losePower(Random random) {
        open.clear();
        lose(root, random);
    }

    /** Returns the paths of all files, with the number of bytes of each. */
    public synchronized Map<String, Long> files() {
        Map<String, Long> files = new TreeMap<>();
        collect("", root, files);
        return files;
    }

    private static void collect(String path, Inode inode, Map<String, Long> files) {
        if (!inode.directory) {
            files.put(path, inode.size);
        }
        inode.entries.forEach((name, child) -> collect(path + "/" + name, child, files));
    }

    private static void lose(Inode inode, Random random) {
        if (inode.directory) {
            TreeMap<String, Inode> left = new TreeMap<>(inode.durable);
            boolean anyOrder = random.nextInt(3) == 0;
            int kept = inode.log.isEmpty() ? 0 : random.nextInt(inode.log.size() + 1);
            for (int i = 0; i < inode.log.size(); i++) {
                if (anyOrder ? random.nextBoolean() : i < kept) {
                    inode.log.get(i).to(left);
                }
            }
            inode.entries = left;
            left.values().forEach(child -> lose(child, random));
        } else if (inode.time != inode.durableTime) {
            int how = random.nextInt(3);
            if (how == 0) {
                inode.pages = new TreeMap<>(inode.durablePages);
                inode.size = inode.durableSize;
                inode.time = inode.durableTime;
            } else if (how == 1) {
                Set<Long> all = new HashSet<>(inode.pages.keySet());
                all.addAll(inode.durablePages.keySet());
                Map<Long, byte[]> mixed = new TreeMap<>();
                all.stream().sorted().forEach(page -> mixed.put(page, mix(inode, page, random)));
                inode.pages = mixed;
                inode.size = random.nextBoolean() ? inode.size : inode.durableSize;
            }
        }
        inode.sync();
    }

    private static byte[] mix(Inode inode, long page, Random random) {
        byte[] mixed = inode.durablePages.getOrDefault(page, new byte[PAGE]).clone();
        byte[] now = inode.pages.getOrDefault(page, new byte[PAGE]);
        for (int at = 0; at < PAGE; at += SECTOR) {
            if (random.nextBoolean()) {
                System.arraycopy(now, at, mixed, at, SECTOR);
            }
        }
        return mixed;
    }

    private synchronized List<String> namesOf(int descriptor) {
        Open directory = open.get(descriptor);
        return directory == null
                ? List.of()
                : List.copyOf(directory.inode().entries.keySet());
    }

    private synchronized long carryOut(String call, int descriptor, String path, Object... arguments)
            throws ErrnoException {
        if (call.equals("open")) {
            return openAt(descriptor, path, (MemorySegment) arguments[3]);
        }
        if (call.equals("close")) {
            open.remove(descriptor);
            return 0;
        }
        Fault fault = TRAPPED.contains(call) ? trap.before(call).orElse(null) : null;
        if (fault == Fault.EIO || (fault == Fault.ENOSPC && !call.equals("pread"))) {
            throw new ErrnoException(call, "simulated", fault == Fault.EIO ? EIO : ErrnoException.ENOSPC);
        }
        Open file = open.get(descriptor);
        if (file == null) {
            throw new ErrnoException(call, "a process that has ended", EIO);
        }
        return switch (call) {
            case "mkdirat" -> make(file.inode(), (MemorySegment) arguments[1]);
            case "rename" -> rename(file.inode(), (MemorySegment) arguments[1], (MemorySegment) arguments[3]);
            case "unlink" -> unlink(file.inode(), (MemorySegment) arguments[1]);
            case "fstat" -> stat(file.inode(), (MemorySegment) arguments[1]);
            case "fchmod" -> {
                file.inode().mode = (int) arguments[1];
                yield 0;
            }
            case "fcntl" -> control(file, (int) arguments[1]);
            case "flock" -> 0;
            case "lseek" -> seek(file.inode(), (long) arguments[1]);
            case "pread" ->
                read(file.inode(), (MemorySegment) arguments[1], (int) (long) arguments[2], (long) arguments[3]);
            case "pwrite" -> {
                int wanted = (int) (long) arguments[2];
                int bytes = fault == Fault.SHORT ? Math.max(1, wanted / 3) : wanted;
                yield write(file.inode(), (MemorySegment) arguments[1], bytes, (long) arguments[3]);
            }
            case "fsync", "fdatasync" -> {
                if (!tracing || isInForce()) {
                    file.inode().sync();
                }
                yield 0;
            }
            default -> throw new IllegalStateException(call);
        };
    }

    /** Notes where in the code the call comes from, and tells whether that place is not left out. */
    private boolean isInForce() {
        String place = StackWalker.getInstance().walk(frames -> frames.filter(frame -> {
                    String name = frame.getClassName();
                    String method = frame.getMethodName();
                    return !name.contains("SimulatedDisk")
                            && !name.endsWith(".Libc")
                            && !name.endsWith(".Descriptor")
                            && !(name.endsWith(".Directory") && method.equals("sync"));
                })
                .findFirst()
                .map(frame -> frame.getClassName()
                                .substring(frame.getClassName().lastIndexOf('.') + 1) + "." + frame.getMethodName())
                .orElseThrow());
        syncs.add(place);
        return !place.equals(unsynced);
    }

    private long openAt(int descriptor, String name, MemorySegment how) throws ErrnoException {
        int flags = (int) how.get(ValueLayout.JAVA_LONG, 0);
        Open directory = descriptor < 0 ? new Open(root, 0) : open.get(descriptor);
        if (directory == null) {
            throw new ErrnoException("open", name, EIO);
        }
        Inode parent = directory.inode();
        Inode inode = descriptor < 0 || name.equals(".") ? parent : parent.entries.get(name);
        if ((flags & Libc.O_CREAT) != 0) {
            Optional<Fault> fault = trap.before("open");
            if (fault.isPresent()) {
                throw new ErrnoException("open", name, fault.get() == Fault.ENOSPC ? ErrnoException.ENOSPC : EIO);
            }
            if (inode != null) {
                throw new ErrnoException("open", name, ErrnoException.EEXIST);
            }
            inode = new Inode(++inodes, false, 0600);
            parent.apply(new Change(null, name, inode));
        }
        if (inode == null) {
            throw new ErrnoException("open", name, ErrnoException.ENOENT);
        }
        if ((flags & Libc.O_DIRECTORY) != 0 && !inode.directory) {
            throw new ErrnoException("open", name, ErrnoException.ENOTDIR);
        }
        if ((flags & Libc.O_DIRECT) != 0 && (flags & Libc.O_PATH) == 0) {
            throw new ErrnoException("open", name, ErrnoException.EINVAL);
        }
        int fd = (number + 1) * FIRST_DESCRIPTOR + ++descriptors;
        open.put(fd, new Open(inode, flags));
        return fd;
    }

    private long make(Inode parent, MemorySegment name) throws ErrnoException {
        String child = name.getString(0);
        if (parent.entries.containsKey(child)) {
            throw new ErrnoException("mkdirat", child, ErrnoException.EEXIST);
        }
        parent.apply(new Change(null, child, new Inode(++inodes, true, 0700)));
        return 0;
    }

    private static long rename(Inode parent, MemorySegment from, MemorySegment to) throws ErrnoException {
        Inode inode = parent.entries.get(from.getString(0));
        if (inode == null) {
            throw new ErrnoException("rename", from.getString(0), ErrnoException.ENOENT);
        }
        parent.apply(new Change(from.getString(0), to.getString(0), inode));
        return 0;
    }

    private static long unlink(Inode parent, MemorySegment name) throws ErrnoException {
        if (!parent.entries.containsKey(name.getString(0))) {
            throw new ErrnoException("unlink", name.getString(0), ErrnoException.ENOENT);
        }
        parent.apply(new Change(name.getString(0), null, null));
        return 0;
    }

    // The layout is Descriptor's.
    private static long stat(Inode inode, MemorySegment stat) {
        stat.fill((byte) 0);
        stat.set(ValueLayout.JAVA_LONG, 0, 1);
        stat.set(ValueLayout.JAVA_LONG, 8, inode.number);
        stat.set(ValueLayout.JAVA_INT, 24, (inode.directory ? S_IFDIR : S_IFREG) | inode.mode);
        stat.set(ValueLayout.JAVA_LONG, 48, inode.size);
        stat.set(ValueLayout.JAVA_LONG, 64, inode.pages.size() * (long) (PAGE / SECTOR));
        stat.set(ValueLayout.JAVA_LONG, 88, inode.time);
        return 0;
    }

    private long control(Open file, int command) throws ErrnoException {
        if (command == Libc.F_GETFL) {
            return file.flags();
        }
        boolean written = open.values().stream().anyMatch(other -> other.inode() == file.inode() && other.writes());
        if (written) {
            throw new ErrnoException("fcntl", "lease", ErrnoException.EAGAIN);
        }
        return 0;
    }

    private static long seek(Inode inode, long offset) throws ErrnoException {
        if (offset >= inode.size) {
            throw new ErrnoException("lseek", "simulated", ErrnoException.ENXIO);
        }
        return offset;
    }

    private static long read(Inode inode, MemorySegment to, int wanted, long offset) {
        int bytes = Math.clamp(inode.size - offset, 0, wanted);
        for (int done = 0; done < bytes; ) {
            long at = offset + done;
            int inPage = (int) (at % PAGE);
            int n = Math.min(PAGE - inPage, bytes - done);
            byte[] page = inode.pages.get(at / PAGE);
            if (page == null) {
                to.asSlice(done, n).fill((byte) 0);
            } else {
                MemorySegment.copy(page, inPage, to, ValueLayout.JAVA_BYTE, done, n);
            }
            done += n;
        }
        return bytes;
    }

    private long write(Inode inode, MemorySegment from, int bytes, long offset) {
        for (int done = 0; done < bytes; ) {
            long at = offset + done;
            int inPage = (int) (at % PAGE);
            int n = Math.min(PAGE - inPage, bytes - done);
            byte[] before = inode.pages.get(at / PAGE);
            byte[] page = before == null ? new byte[PAGE] : Arrays.copyOf(before, PAGE);
            MemorySegment.copy(from, ValueLayout.JAVA_BYTE, done, page, inPage, n);
            inode.pages.put(at / PAGE, page);
            done += n;
        }
        inode.size = Math.max(inode.size, offset + bytes);
        inode.time = ++changes;
        return bytes;
    }
}
