package dev.torpor.e2e.guest;

import dev.torpor.e2e.tree.WorkTree;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Kernel and initramfs of the tests' guest, made by {@code tools/guest.sh} and kept by it.
 *
 * @param kernel path of the kernel
 * @param initrd path of the initramfs
 */
public record GuestImage(Path kernel, Path initrd) {
    /**
     * What each guest's kernel is told. On a busy machine QEMU's timer can miss the moment in which Linux tries it at boot, and
     * Linux would panic ("IO-APIC + timer doesn't work"). Its tests of its own ciphers take an eighth of the boot.
     */
    public static final String KERNEL_ARGUMENTS = "console=ttyS0 quiet no_timer_check cryptomgr.notests";

    private static final class Holder {
        static final GuestImage INSTANCE = make();
    }

    /** Returns the guest, making it at the first call on a machine. */
    public static GuestImage get() {
        return Holder.INSTANCE;
    }

    /** Returns the arguments that boot it, under TCG on a q35 machine without default devices. */
    public List<String> arguments(int memoryMiB, int fillMiB) {
        List<String> arguments = new ArrayList<>(machine(memoryMiB));
        arguments.addAll(List.of(
                "-kernel",
                kernel.toString(),
                "-initrd",
                initrd.toString(),
                "-append",
                KERNEL_ARGUMENTS + (fillMiB > 0 ? " torpor.fill=" + fillMiB : "")));
        return arguments;
    }

    /** Returns the arguments that boot it with Debian's qemu-ga on its first virtio port. */
    public List<String> argumentsWithAgent(int memoryMiB) {
        List<String> arguments = new ArrayList<>(machine(memoryMiB));
        arguments.addAll(List.of(
                "-kernel",
                kernel.toString(),
                "-initrd",
                initrd.resolveSibling("initrd-agent.gz").toString(),
                "-append",
                KERNEL_ARGUMENTS + " torpor.agent=1"));
        return arguments;
    }

    /** Returns the arguments of the machine alone. */
    public static List<String> machine(int memoryMiB) {
        return List.of(
                "-accel",
                "tcg",
                "-machine",
                "q35",
                "-cpu",
                "max",
                "-m",
                memoryMiB + "M",
                "-nodefaults",
                "-display",
                "none");
    }

    private static GuestImage make() {
        Path folder = Path.of(WorkTree.run("tools/guest.sh"));
        return new GuestImage(folder.resolve("vmlinuz"), folder.resolve("initrd.gz"));
    }
}
