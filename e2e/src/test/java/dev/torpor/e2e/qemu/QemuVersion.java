package dev.torpor.e2e.qemu;

import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * A version of QEMU that runs here.
 *
 * @param name major and minor number
 * @param program its command
 */
record QemuVersion(String name, String program) {
    private static final Path RECORDINGS =
            WorkTree.root().resolve("node-agent/src/test/resources/dev/torpor/agent/engine");
    /** Of other releases of Debian's, which go away, or go on. */
    private static final List<String> DEBIAN = List.of("5.2", "11.1");
    /** Of releases of Ubuntu's. */
    private static final List<String> UBUNTU = List.of("4.2", "6.2", "8.2", "9.2", "10.1", "10.2");

    /**
     * Returns the installed one and that of Debian 12; with {@code TORPOR_QEMU=all} those of other releases too, of Ubuntu's where
     * {@code TORPOR_UBUNTU_ARCHIVE} names an archive.
     */
    static List<QemuVersion> tried() {
        List<QemuVersion> versions = new ArrayList<>();
        versions.add(new QemuVersion("10.0", "qemu-system-x86_64"));
        versions.add(fetched("7.2"));
        if (all()) {
            DEBIAN.forEach(name -> versions.add(fetched(name)));
            if (System.getenv("TORPOR_UBUNTU_ARCHIVE") != null) {
                UBUNTU.forEach(name -> versions.add(fetched(name)));
            }
        }
        return versions;
    }

    /** Tells whether more is to be tried than what each change needs. */
    static boolean all() {
        return "all".equals(System.getenv("TORPOR_QEMU"));
    }

    private static QemuVersion fetched(String name) {
        return new QemuVersion(name, WorkTree.run("tools/qemu.sh", name));
    }

    /** Returns where its conversation with a probe is kept. */
    Path recording() {
        return RECORDINGS.resolve("qemu-" + name + ".qmp");
    }

    /** Tells whether it can write images itself: since 9.0. */
    boolean hasMappedRam() {
        return Integer.parseInt(name.substring(0, name.indexOf('.'))) >= 9;
    }

    /** Tells whether it keeps a socket now and then of a save that nobody takes any more: seen of 5.2, 8 and 12 of 500. */
    boolean leaksSockets() {
        return name.equals("5.2");
    }

    /** Returns the machine type that is its newest. */
    String machine() {
        return "pc-q35-" + name;
    }

    @Override
    public String toString() {
        return name;
    }
}
