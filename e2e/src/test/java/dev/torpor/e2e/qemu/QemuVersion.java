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
    /** Of releases that their distributions keep for years. */
    private static final List<String> LASTING = List.of("4.2", "5.2", "6.2", "7.2", "8.2", "10.2");
    /** Of releases that go away, or go on. */
    private static final List<String> PASSING = List.of("9.2", "10.1", "11.1");

    /** Returns the installed one and, fetched if need be, the others: with {@code TORPOR_QEMU=all} all that were tried once. */
    static List<QemuVersion> tried() {
        List<QemuVersion> versions = new ArrayList<>();
        versions.add(new QemuVersion("10.0", "qemu-system-x86_64"));
        LASTING.forEach(name -> versions.add(fetched(name)));
        if ("all".equals(System.getenv("TORPOR_QEMU"))) {
            PASSING.forEach(name -> versions.add(fetched(name)));
        }
        return versions;
    }

    private static QemuVersion fetched(String name) {
        return new QemuVersion(name, WorkTree.run("tools/qemu.sh", name));
    }

    /** Returns where its conversation with a probe is kept. */
    Path recording() {
        return RECORDINGS.resolve("qemu-" + name + ".qmp");
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
