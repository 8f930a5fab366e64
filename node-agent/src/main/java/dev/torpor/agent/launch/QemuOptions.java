package dev.torpor.agent.launch;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * QEMU's command line, taken apart as QEMU does it (system/vl.c): an option begins with one or two hyphens, and those that
 * take a value take the next word, whatever it looks like. Which do is a table, that of 8.2 to 11 (qemu-options.hx): one
 * option that is not in it, and nothing behind it can be told for sure.
 *
 * @param options in order
 */
record QemuOptions(List<QemuOptions.Option> options) {
    private static final Set<String> BARE = Set.of(
            "h",
            "help",
            "version",
            "S",
            "s",
            "alt-grab",
            "async-teardown",
            "ctrl-grab",
            "curses",
            "daemonize",
            "enable-fips",
            "enable-kvm",
            "enable-sync-profile",
            "full-screen",
            "jitdump",
            "mem-prealloc",
            "no-acpi",
            "no-fd-bootchk",
            "no-hpet",
            "no-quit",
            "no-reboot",
            "no-shutdown",
            "no-user-config",
            "nodefaults",
            "nographic",
            "old-param",
            "one-insn-per-tb",
            "only-migratable",
            "perfmap",
            "preconfig",
            "sdl",
            "semihosting",
            "singlestep",
            "snapshot",
            "usb",
            "win2k-hack",
            "xen-attach",
            "xen-domid-restrict");
    private static final Set<String> WITH_VALUE = Set.of(
            "accel",
            "acpitable",
            "action",
            "add-fd",
            "append",
            "audio",
            "audiodev",
            "bios",
            "blockdev",
            "boot",
            "bt",
            "cdrom",
            "chardev",
            "chroot",
            "compat",
            "cpu",
            "d",
            "D",
            "debugcon",
            "device",
            "dfilter",
            "display",
            "drive",
            "dtb",
            "dump-vmstate",
            "echr",
            "fda",
            "fdb",
            "fsdev",
            "fw_cfg",
            "g",
            "gdb",
            "global",
            "hda",
            "hdb",
            "hdc",
            "hdd",
            "icount",
            "incoming",
            "initrd",
            "iscsi",
            "k",
            "kernel",
            "L",
            "loadvm",
            "m",
            "M",
            "machine",
            "mem-path",
            "mon",
            "monitor",
            "msg",
            "mtdblock",
            "name",
            "net",
            "netdev",
            "nic",
            "numa",
            "object",
            "option-rom",
            "overcommit",
            "parallel",
            "pflash",
            "pidfile",
            "plugin",
            "prom-env",
            "qmp",
            "qmp-pretty",
            "qtest",
            "qtest-log",
            "readconfig",
            "rotate",
            "rtc",
            "run-with",
            "runas",
            "sandbox",
            "sd",
            "seed",
            "semihosting-config",
            "serial",
            "set",
            "shim",
            "smbios",
            "smp",
            "spice",
            "tb-size",
            "tpmdev",
            "trace",
            "usbdevice",
            "uuid",
            "vga",
            "virtfs",
            "vnc",
            "watchdog",
            "watchdog-action",
            "xen-domid");

    QemuOptions {
        options = List.copyOf(options);
    }

    /**
     * One option.
     *
     * @param at its place among the words of the command
     * @param name without hyphens
     * @param value empty for an option that takes none
     */
    record Option(int at, String name, String value) {}

    /** What came of taking a command apart. */
    sealed interface Parsed {}

    /** All of it is known. */
    record Known(QemuOptions options) implements Parsed {}

    /**
     * It cannot be told.
     *
     * @param why in words
     */
    record Unknown(String why) implements Parsed {}

    /** Takes a command apart, its first word aside. */
    static Parsed parse(List<String> argv) {
        List<Option> options = new ArrayList<>();
        for (int at = 1; at < argv.size(); at++) {
            String word = argv.get(at);
            if (!word.startsWith("-") || word.equals("-")) {
                continue; // QEMU takes it for a disk's image
            }
            String name = word.substring(word.startsWith("--") ? 2 : 1);
            if (BARE.contains(name)) {
                options.add(new Option(at, name, ""));
            } else if (WITH_VALUE.contains(name) && at + 1 < argv.size()) {
                options.add(new Option(at, name, argv.get(at + 1)));
                at++;
            } else if (WITH_VALUE.contains(name)) {
                return new Unknown("QEMU's option -" + name + " has no value");
            } else {
                return new Unknown("QEMU's option " + word + " is not one that Torpor knows");
            }
        }
        return new Known(new QemuOptions(options));
    }

    /** Tells whether this release knows an option, and whether it takes a value. */
    static Optional<Boolean> takesValue(String name) {
        if (BARE.contains(name)) {
            return Optional.of(false);
        }
        return WITH_VALUE.contains(name) ? Optional.of(true) : Optional.empty();
    }

    /** Returns the options of this name, in order. */
    List<Option> all(String name) {
        return options.stream().filter(option -> option.name().equals(name)).toList();
    }

    /** Returns the first option that has one of these names. */
    Optional<Option> first(Set<String> names) {
        return options.stream().filter(option -> names.contains(option.name())).findFirst();
    }
}
