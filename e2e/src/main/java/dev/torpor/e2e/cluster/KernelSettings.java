package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The settings of the machine's kernel that every kubelet sets, and what they were before. */
final class KernelSettings {
    // pkg/util/sysctl of Kubernetes 1.34, as used by setupKernelTunables of the kubelet's container manager.
    private static final List<String> NAMES = List.of(
            "vm/overcommit_memory",
            "vm/panic_on_oom",
            "kernel/panic",
            "kernel/panic_on_oops",
            "kernel/keys/root_maxkeys",
            "kernel/keys/root_maxbytes");

    private final Map<Path, String> before = new LinkedHashMap<>();

    private KernelSettings() {}

    /** Reads the settings as they are. */
    static KernelSettings remember() {
        KernelSettings settings = new KernelSettings();
        for (String name : NAMES) {
            Path file = Path.of("/proc/sys").resolve(name);
            try {
                settings.before.put(file, Files.readString(file));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
        return settings;
    }

    /** Writes back those that differ. */
    void restore() {
        before.forEach((file, value) -> {
            try {
                if (!Files.readString(file).equals(value)) {
                    Files.writeString(file, value);
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
    }
}
