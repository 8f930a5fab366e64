package dev.torpor.agent.linux;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * The bindings to glibc on x86-64, one constant for each function, under the function's own name. A result below zero
 * becomes an {@link ErrnoException}; EINTR is retried here and nowhere else. Errno is taken with the call, on its thread.
 */
final class Libc {
    // fcntl.h, x86-64
    static final int O_RDONLY = 0;
    static final int O_WRONLY = 1;
    static final int O_RDWR = 2;
    static final int O_ACCMODE = 3;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_NONBLOCK = 0x800;
    static final int O_DIRECT = 0x4000;
    static final int O_DIRECTORY = 0x10000;
    static final int O_NOFOLLOW = 0x20000;
    static final int O_CLOEXEC = 0x80000;
    static final int O_PATH = 0x200000;
    static final int F_GETFL = 3;
    static final int F_SETFL = 4;
    static final int F_SETLEASE = 1024;
    static final int F_RDLCK = 0;
    static final int F_UNLCK = 2;
    static final int LOCK_EX = 2;
    static final int LOCK_NB = 4;
    // unistd.h
    static final int SEEK_DATA = 3;
    // sys/mman.h
    static final int PROT_READ = 1;
    static final int PROT_WRITE = 2;
    static final int MAP_SHARED = 1;
    static final int MAP_PRIVATE = 2;
    static final int MAP_ANONYMOUS = 0x20;
    static final int MADV_RANDOM = 1;
    // linux/openat2.h
    static final long SYS_OPENAT2 = 437;
    static final long RESOLVE_NO_XDEV = 0x01;
    static final long RESOLVE_NO_MAGICLINKS = 0x02;
    static final long RESOLVE_NO_SYMLINKS = 0x04;
    static final long RESOLVE_BENEATH = 0x08;
    // sys/socket.h, poll.h
    static final int AF_UNIX = 1;
    static final int SOCK_STREAM = 1;
    static final int SOCK_CLOEXEC = 0x80000;
    static final int SOL_SOCKET = 1;
    static final int SCM_RIGHTS = 1;
    static final int SO_PEERCRED = 17;
    static final int SHUT_RDWR = 2;
    static final int MSG_DONTWAIT = 0x40;
    static final int MSG_WAITALL = 0x100;
    static final int MSG_NOSIGNAL = 0x4000;
    static final int MSG_CMSG_CLOEXEC = 0x40000000;
    static final short POLLIN = 1;
    static final short POLLOUT = 4;

    private static final Linker LINKER = Linker.nativeLinker();
    private static final StructLayout CALL_STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = CALL_STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    static final MethodHandle ACCEPT4 = bind("accept4", JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, JAVA_INT);
    static final MethodHandle BIND = bind("bind", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    static final MethodHandle CHMOD = bind("chmod", JAVA_INT, ADDRESS, JAVA_INT);
    static final MethodHandle CLOSE = bind("close", JAVA_INT, JAVA_INT);
    static final MethodHandle CONNECT = bind("connect", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    static final MethodHandle FCHMOD = bind("fchmod", JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle FDATASYNC = bind("fdatasync", JAVA_INT, JAVA_INT);
    static final MethodHandle FLOCK = bind("flock", JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle FSTAT = bind("fstat", JAVA_INT, JAVA_INT, ADDRESS);
    static final MethodHandle FSYNC = bind("fsync", JAVA_INT, JAVA_INT);
    static final MethodHandle GETEUID = bind("geteuid", JAVA_INT);
    static final MethodHandle GETSOCKOPT = bind("getsockopt", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS);
    static final MethodHandle LISTEN = bind("listen", JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle LSEEK = bind("lseek", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT);
    static final MethodHandle MADVISE = bind("madvise", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    static final MethodHandle MINCORE = bind("mincore", JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS);
    static final MethodHandle MKDIRAT = bind("mkdirat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    // Its result is an address of user space, so below zero only if it failed (MAP_FAILED is -1).
    static final MethodHandle MMAP =
            bind("mmap", JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
    static final MethodHandle MUNMAP = bind("munmap", JAVA_INT, JAVA_LONG, JAVA_LONG);
    static final MethodHandle POLL = bind("poll", JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    static final MethodHandle PREAD = bind("pread", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    static final MethodHandle PWRITE = bind("pwrite", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_LONG);
    static final MethodHandle WRITE = bind("write", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);
    static final MethodHandle RECV = bind("recv", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    static final MethodHandle RECVMSG = bind("recvmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    static final MethodHandle RENAMEAT = bind("renameat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT, ADDRESS);
    static final MethodHandle SEND = bind("send", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, JAVA_INT);
    static final MethodHandle SENDMSG = bind("sendmsg", JAVA_LONG, JAVA_INT, ADDRESS, JAVA_INT);
    static final MethodHandle SHUTDOWN = bind("shutdown", JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle SOCKET = bind("socket", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle UNLINKAT = bind("unlinkat", JAVA_INT, JAVA_INT, ADDRESS, JAVA_INT);
    // Variadic in C, and the variadic convention of x86-64 differs (AL holds the number of vector registers).
    static final MethodHandle FCNTL = bindVariadic("fcntl", 2, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT);
    static final MethodHandle SYSCALL =
            bindVariadic("syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG);
    private static final MethodHandle STRERROR = downcall("strerror", FunctionDescriptor.of(ADDRESS, JAVA_INT));

    /** Null but in tests: calls about files of this disk go there. */
    private static volatile @Nullable Disk disk;

    private Libc() {}

    /** A disk of a test's own, with the faults that real ones have and do not show on demand. */
    interface Disk {
        /** Carries a call out; empty if it is about none of this disk's files. */
        OptionalLong call(String call, Object... arguments) throws ErrnoException;

        /** Returns the names in one of this disk's directories, by its descriptor; empty if it is not this disk's. */
        Optional<List<String>> names(int descriptor);

        /** Returns the bytes that are free; empty if the descriptor is not this disk's. */
        OptionalLong freeBytes(int descriptor);
    }

    /** For tests, which alone may: {@code ArchitectureTest} looks for others. */
    static void use(@Nullable Disk other) {
        disk = other;
    }

    /** Returns the names in a directory of the test's disk; empty if it is a real one. */
    static Optional<List<String>> names(int descriptor) {
        Disk own = disk;
        return own == null ? Optional.empty() : own.names(descriptor);
    }

    /** Returns the free bytes of the test's disk; empty if it is a real one. */
    static OptionalLong freeBytes(int descriptor) {
        Disk own = disk;
        return own == null ? OptionalLong.empty() : own.freeBytes(descriptor);
    }

    /**
     * Calls a bound function, again if a signal interrupted it.
     *
     * @param call the function's name, for the message
     * @param about what it acts on, for the message; may be empty
     * @throws ErrnoException if the result is below zero
     */
    static long call(MethodHandle function, String call, String about, Object... arguments) throws ErrnoException {
        Disk own = disk;
        OptionalLong done = own == null ? OptionalLong.empty() : own.call(call, arguments);
        if (done.isPresent()) {
            return done.getAsLong();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            List<Object> all = new ArrayList<>(arguments.length + 1);
            all.add(state);
            all.addAll(List.of(arguments));
            while (true) {
                long result = ((Number) function.invokeWithArguments(all)).longValue();
                if (result >= 0) {
                    return result;
                }
                int errno = (int) ERRNO.get(state, 0L);
                if (errno != ErrnoException.EINTR) {
                    throw new ErrnoException(call, about, errno);
                }
            }
        } catch (ErrnoException | RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new LinkageError("calling " + call, e);
        }
    }

    /** Returns the C library's sentence for an error number. */
    static String describe(int errno) {
        try {
            MemorySegment text = (MemorySegment) STRERROR.invokeExact(errno);
            return string(text);
        } catch (Throwable e) {
            return "error " + errno;
        }
    }

    // strerror's text is a C string of unknown length in the C library's own memory.
    @SuppressWarnings("restricted")
    private static String string(MemorySegment text) {
        return text.reinterpret(1024).getString(0);
    }

    private static MethodHandle bind(String name, MemoryLayout result, MemoryLayout... parameters) {
        return downcall(name, FunctionDescriptor.of(result, parameters), Linker.Option.captureCallState("errno"));
    }

    private static MethodHandle bindVariadic(
            String name, int firstVariadic, MemoryLayout result, MemoryLayout... parameters) {
        return downcall(
                name,
                FunctionDescriptor.of(result, parameters),
                Linker.Option.captureCallState("errno"),
                Linker.Option.firstVariadicArg(firstVariadic));
    }

    @SuppressWarnings("restricted") // the one place where functions are bound; signatures as in the man pages
    private static MethodHandle downcall(String name, FunctionDescriptor signature, Linker.Option... options) {
        return LINKER.downcallHandle(LINKER.defaultLookup().findOrThrow(name), signature, options);
    }
}
