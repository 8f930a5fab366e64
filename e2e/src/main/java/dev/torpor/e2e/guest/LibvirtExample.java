package dev.torpor.e2e.guest;

import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.ConfigMap;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.UUID;

/**
 * The example of a pod in which libvirt starts QEMU, {@code examples/libvirt/vm-pod.yaml}, for the tests' guest.
 *
 * @param domain what the pod has at {@code /domain}: the script that starts the domain, and its definition
 * @param pod the pod
 */
public record LibvirtExample(ConfigMap domain, Pod pod) {
    /** File of the guest's console, which the script prints. */
    public static final Path CONSOLE = Path.of("/run/console.log");

    /** Reads the example. */
    public static LibvirtExample read(KubernetesClient client) throws IOException {
        try (InputStream file = Files.newInputStream(WorkTree.root().resolve("examples/libvirt/vm-pod.yaml"))) {
            List<HasMetadata> items = client.load(file).items();
            return new LibvirtExample((ConfigMap) items.getFirst(), (Pod) items.getLast());
        }
    }

    /** Returns the script. */
    public String startDomain() {
        return Objects.requireNonNull(domain.getData().get("start-domain"));
    }

    /**
     * Returns the definition of a domain of 160 MiB that boots the guest, with a UUID made of its name.
     *
     * @param console file of the guest's console
     */
    public static String definition(String name, GuestImage guest, Path console) {
        return """
                <domain type='qemu'>
                  <name>%s</name>
                  <uuid>%s</uuid>
                  <memory unit='MiB'>160</memory>
                  <vcpu>1</vcpu>
                  <os>
                    <type arch='x86_64' machine='pc-q35-10.0'>hvm</type>
                    <kernel>%s</kernel>
                    <initrd>%s</initrd>
                    <cmdline>%s torpor.fill=16</cmdline>
                  </os>
                  <devices>
                    <emulator>/usr/bin/qemu-system-x86_64</emulator>
                    <serial type='file'><source path='%s' append='on'/></serial>
                    <memballoon model='none'/>
                  </devices>
                </domain>
                """.formatted(
                        name,
                        UUID.nameUUIDFromBytes(name.getBytes(StandardCharsets.UTF_8)),
                        guest.kernel(),
                        guest.initrd(),
                        GuestImage.KERNEL_ARGUMENTS,
                        console);
    }
}
