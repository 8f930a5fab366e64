package dev.torpor.e2e.guest;

import dev.torpor.e2e.tree.WorkTree;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * Files of the tests' guest that a real libvirt wrote ({@code tools/libvirt.sh}), all of one moment of one boot.
 *
 * @param folder where they are, each named by its format
 * @param last what the guest had said last
 */
public record SavedByLibvirt(Path folder, Tick last) {
    /** UUID of the domain, and of a machine that is to be resumed. */
    public static final String UUID = "11111111-2222-3333-4444-555555555555";

    private static final Duration PATIENCE = Duration.ofMinutes(3);
    private static final String FIRST = "raw";

    /**
     * Boots a domain and saves it.
     *
     * @param formats of {@code virsh save --image-format}, beside raw; with {@code +n} behind it, written by n channels
     */
    public static SavedByLibvirt make(Path folder, int memoryMiB, int fillMiB, String... formats)
            throws IOException, InterruptedException {
        Path root = Files.createDirectories(folder.resolve("lv"));
        Files.writeString(Files.createDirectories(root.resolve("etc")).resolve("qemu.conf"), """
                security_driver = "none"
                user = "root"
                group = "root"
                dynamic_ownership = 0
                remember_owner = 0
                stdio_handler = "file"
                cgroup_controllers = []
                namespaces = []
                """);
        Path serial = folder.resolve("domain.log");
        Path definition = Files.writeString(folder.resolve("domain.xml"), definition(memoryMiB, fillMiB, serial));
        Path said = folder.resolve("virsh.log");
        Process virsh = new ProcessBuilder(WorkTree.run("tools/libvirt.sh"), "-c", "qemu:///embed?root=" + root)
                .redirectErrorStream(true)
                .redirectOutput(said.toFile())
                .start();
        try (Writer commands = virsh.outputWriter(StandardCharsets.UTF_8)) {
            commands.write("create " + definition + "\n");
            commands.flush();
            Tick last = await(serial, virsh, said);
            List<String> rest = new ArrayList<>(List.of(save(folder, FIRST)));
            for (String format : formats) {
                rest.add("restore --paused " + folder.resolve(FIRST));
                rest.add(save(folder, format));
            }
            rest.add("quit");
            commands.write(String.join("\n", rest) + "\n");
            commands.flush();
            if (!virsh.waitFor(PATIENCE.toSeconds(), TimeUnit.SECONDS)) {
                throw new IllegalStateException("virsh does not end: " + Files.readString(said));
            }
            for (String format : formats) {
                if (!Files.exists(folder.resolve(format))) {
                    throw new IllegalStateException(
                            "libvirt did not save as " + format + ": " + Files.readString(said));
                }
            }
            return new SavedByLibvirt(folder, last);
        } finally {
            virsh.descendants().forEach(ProcessHandle::destroyForcibly);
            virsh.destroyForcibly();
        }
    }

    /** Returns the file of a format. */
    public Path file(String format) {
        return folder.resolve(format);
    }

    private static String save(Path folder, String format) {
        String[] parts = format.split("\\+", 2);
        String channels = parts.length == 1 ? "" : " --parallel-channels " + parts[1];
        return "save --running web " + folder.resolve(format) + " --image-format " + parts[0] + channels;
    }

    private static Tick await(Path serial, Process virsh, Path said) throws IOException, InterruptedException {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            Optional<Tick> tick = Files.exists(serial)
                    ? Files.readString(serial, StandardCharsets.ISO_8859_1)
                            .lines()
                            .flatMap(line -> Tick.parse(line).stream())
                            .reduce((_, second) -> second)
                    : Optional.empty();
            if (tick.filter(now -> now.number() >= 2).isPresent()) {
                return tick.get();
            }
            if (!virsh.isAlive() || System.nanoTime() > end) {
                throw new IllegalStateException("the domain does not tick: " + Files.readString(said));
            }
            TimeUnit.MILLISECONDS.sleep(100);
        }
    }

    /** Returns a domain whose machine is that of {@link GuestImage#machine}. */
    private static String definition(int memoryMiB, int fillMiB, Path serial) {
        GuestImage guest = GuestImage.get();
        return """
                <domain type='qemu'>
                  <name>web</name>
                  <uuid>%s</uuid>
                  <memory unit='MiB'>%d</memory>
                  <vcpu>1</vcpu>
                  <os>
                    <type arch='x86_64' machine='q35'>hvm</type>
                    <kernel>%s</kernel>
                    <initrd>%s</initrd>
                    <cmdline>%s torpor.fill=%d</cmdline>
                  </os>
                  <features><acpi/></features>
                  <cpu mode='maximum'/>
                  <devices>
                    <emulator>/usr/bin/qemu-system-x86_64</emulator>
                    <controller type='usb' model='none'/>
                    <serial type='file'><source path='%s'/><target port='0'/></serial>
                    <memballoon model='none'/>
                    <audio id='1' type='none'/>
                  </devices>
                </domain>
                """.formatted(
                        UUID, memoryMiB, guest.kernel(), guest.initrd(), GuestImage.KERNEL_ARGUMENTS, fillMiB, serial);
    }
}
