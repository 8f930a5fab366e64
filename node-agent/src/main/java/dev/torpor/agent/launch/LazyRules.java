package dev.torpor.agent.launch;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/** What a VM must not have for its memory to be mapped from its image. Each answer is a reason in words, or none. */
final class LazyRules {
    /** memory-backend-file has {@code offset} and {@code rom} from here on. */
    private static final QemuVersion OLDEST = new QemuVersion(8, 2);

    private static final Pattern QEMU = Pattern.compile("(.*/)?(qemu-system-[a-z0-9_]+|qemu-kvm|kvm)");
    /** Options that decide on memory in ways of their own, or hide options from us. */
    private static final Set<String> REFUSED =
            Set.of("mem-path", "mem-prealloc", "readconfig", "set", "preconfig", "incoming", "loadvm", "chroot");
    /** Devices that share the guest's memory with another process, pin it, or bring memory of their own. */
    private static final List<String> REFUSED_DEVICES = List.of(
            "vhost-user-",
            "vhost-vdpa",
            "vfio-",
            "ivshmem",
            "pc-dimm",
            "nvdimm",
            "cxl-",
            "virtio-mem",
            "virtio-pmem",
            "xen-");

    private static final Set<String> REFUSED_NETWORKS = Set.of("vhost-user", "vhost-vdpa");
    private static final Set<String> REFUSED_OF_MACHINE =
            Set.of("confidential-guest-support", "memory-encryption", "aux-ram-share");
    static final List<String> MACHINE = List.of("machine", "M");

    private LazyRules() {}

    /** Objects to what is known without looking at the options. */
    static Optional<String> objection(Ask ask, LazyStart.Image image) {
        if (!QEMU.matcher(ask.argv().getFirst()).matches()) {
            return Optional.of("the container's command is " + shown(ask.argv().getFirst()) + ", not QEMU itself");
        }
        if (image.layout().channels().isPresent()) {
            return Optional.of("the image holds streams of QEMU's channels, which are read from end to end");
        }
        if (ask.qemu().isEmpty()) {
            return Optional.of("the version of the pod's QEMU is not known");
        }
        if (ask.qemu().get().compareTo(OLDEST) < 0) {
            return Optional.of(
                    "the pod's QEMU is " + ask.qemu().get() + ": it takes " + OLDEST + " or newer to map an image");
        }
        if (ask.images().isEmpty()) {
            return Optional.of("the folder of the VM's images is not mounted in the pod, at " + LazyStart.IMAGES);
        }
        if (!ask.images().get().equals(image.folder())) {
            return Optional.of(
                    "what is mounted in the pod at " + LazyStart.IMAGES + " is not the folder of the VM's images");
        }
        return image.header().vm().devices().stream()
                .filter(LazyRules::isRefusedDevice)
                .findFirst()
                .map(device -> "the VM has the device " + device);
    }

    /** Objects to an option. */
    static Optional<String> objection(QemuOptions options) {
        return refusedOption(options).or(() -> refusedDevice(options)).or(() -> refusedMachine(options));
    }

    private static Optional<String> refusedOption(QemuOptions options) {
        Optional<String> refused = options.first(REFUSED)
                .map(option -> "QEMU is told -" + option.name() + ", which decides on memory in its own way");
        return refused.or(() -> options.all("overcommit").stream()
                        .filter(option -> option.value().contains("mem-lock")
                                && !option.value().contains("mem-lock=off"))
                        .findFirst()
                        .map(_ -> "QEMU is to lock all of its memory (-overcommit mem-lock)"))
                .or(() -> options.all("run-with").stream()
                        .filter(option -> option.value().contains("chroot="))
                        .findFirst()
                        .map(_ -> "QEMU changes its root directory (-run-with chroot)"))
                .or(() -> options.all("global").stream()
                        .filter(option -> option.value().contains("memory-backend"))
                        .findFirst()
                        .map(option -> "-global " + shown(option.value()) + " changes memory backends"));
    }

    private static Optional<String> refusedDevice(QemuOptions options) {
        for (QemuOptions.Option option : options.all("device")) {
            Optional<String> driver =
                    Properties.parse(option.value(), "driver").flatMap(device -> device.get("driver"));
            if (driver.isEmpty()) {
                return Optional.of("-device " + shown(option.value()) + " is not understood");
            }
            if (isRefusedDevice(driver.get()) || option.value().contains("blob=")) {
                return Optional.of("the VM has the device " + shown(driver.get()));
            }
        }
        for (String name : List.of("netdev", "nic", "net")) {
            for (QemuOptions.Option option : options.all(name)) {
                Optional<String> type =
                        Properties.parse(option.value(), "type").flatMap(network -> network.get("type"));
                if (type.isEmpty() || REFUSED_NETWORKS.contains(type.get())) {
                    return Optional.of("the VM has a network of type " + shown(type.orElse(option.value())));
                }
            }
        }
        return Optional.empty();
    }

    private static Optional<String> refusedMachine(QemuOptions options) {
        for (String name : MACHINE) {
            for (QemuOptions.Option option : options.all(name)) {
                Optional<Properties> machine = Properties.parse(option.value(), "type");
                if (machine.isEmpty() || option.value().startsWith("{")) {
                    return Optional.of("-machine " + shown(option.value()) + " is not understood");
                }
                Optional<String> refused = REFUSED_OF_MACHINE.stream()
                        .filter(machine.get().values()::containsKey)
                        .findFirst();
                if (refused.isPresent()) {
                    return Optional.of("the machine has the property " + refused.get());
                }
            }
        }
        return Optional.empty();
    }

    private static boolean isRefusedDevice(String device) {
        return REFUSED_DEVICES.stream().anyMatch(device::startsWith);
    }

    static String shown(String text) {
        return text.length() > 80 ? text.substring(0, 80) + "..." : text;
    }
}
