package dev.torpor.e2e.node;

import dev.torpor.e2e.guest.GuestImage;
import java.util.List;

/**
 * An ordinary workload that runs QEMU, plus the label that makes it a VM: nothing in it knows of a launcher.
 *
 * @param name of the workload and of the VM
 * @param qemu which QEMU it runs in: this machine's, or one whose image was loaded
 * @param memoryMiB the guest's memory
 * @param fillMiB how much of it the guest fills with random data, which it checks at each tick
 * @param podSpec further lines of the pod's spec
 * @param containerSpec further lines of the container
 * @param arguments further arguments of QEMU, each as a YAML text
 */
record VmManifest(
        String name,
        String qemu,
        int memoryMiB,
        int fillMiB,
        List<String> podSpec,
        List<String> containerSpec,
        List<String> arguments) {

    private static final String INSTALLED = "10.0";
    private static final String GRACE = "terminationGracePeriodSeconds: ";

    /** A small VM. */
    static VmManifest of(String name) {
        return new VmManifest(name, INSTALLED, 192, 0, List.of(), List.of(), List.of());
    }

    VmManifest memory(int memory, int fill) {
        return new VmManifest(name, qemu, memory, fill, podSpec, containerSpec, arguments);
    }

    /** Has it run in another QEMU, of which {@code torpor-vm-VERSION:local} was loaded. */
    VmManifest qemu(String version) {
        return new VmManifest(name, version, memoryMiB, fillMiB, podSpec, containerSpec, arguments);
    }

    VmManifest podSpec(String... lines) {
        return new VmManifest(name, qemu, memoryMiB, fillMiB, List.of(lines), containerSpec, arguments);
    }

    /** Leaves the pod the time to be saved in when it is terminated. */
    VmManifest grace(int seconds) {
        return podSpec(GRACE + seconds);
    }

    VmManifest containerSpec(String... lines) {
        return new VmManifest(name, qemu, memoryMiB, fillMiB, podSpec, List.of(lines), arguments);
    }

    /** Gives it a raw disk, the file {@code disk} on a claim of its own name, on which its guest keeps a line. */
    VmManifest disk() {
        return new VmManifest(
                name,
                qemu,
                memoryMiB,
                fillMiB,
                List.of("volumes:", "- {name: disks, persistentVolumeClaim: {claimName: " + name + "}}"),
                List.of("volumeMounts:", "- {name: disks, mountPath: /disks}"),
                List.of("-drive", "'file=/disks/disk,if=virtio,format=raw'"));
    }

    /** Returns it as a bare pod. */
    String pod() {
        return """
                apiVersion: v1
                kind: Pod
                metadata:
                  name: %1$s
                  labels: {torpor.dev/vm: %1$s}
                spec:
                """.formatted(name) + spec().indent(2);
    }

    /** Returns it as a StatefulSet of one; its pod is {@code <name>-0}. */
    String statefulSet() {
        return """
                apiVersion: apps/v1
                kind: StatefulSet
                metadata:
                  name: %1$s
                spec:
                  replicas: 1
                  serviceName: %1$s
                  updateStrategy: {type: OnDelete}
                  selector:
                    matchLabels: {app: %1$s}
                  template:
                    metadata:
                      labels: {app: %1$s, torpor.dev/vm: %1$s}
                    spec:
                """.formatted(name) + spec().indent(6);
    }

    private String spec() {
        String append = GuestImage.KERNEL_ARGUMENTS
                + (fillMiB > 0 ? " torpor.fill=" + fillMiB : "")
                + (arguments.isEmpty() ? "" : " torpor.disk=1");
        return """
                %s
                automountServiceAccountToken: false
                %s
                containers:
                - name: qemu
                  image: torpor-vm%s:local
                  imagePullPolicy: Never
                  command: [qemu-system-x86_64]
                  args: [-machine, pc-q35-%s, -accel, tcg, -cpu, max, -m, %dM, -nodefaults, -display, none,
                         -serial, stdio, -kernel, /boot/vmlinuz, -initrd, /boot/initrd.gz, -append, %s%s]
                %s
                """.formatted(
                        podSpec.stream().anyMatch(line -> line.startsWith(GRACE)) ? "" : GRACE + "2",
                        String.join("\n", podSpec),
                        qemu.equals(INSTALLED) ? "" : "-" + qemu,
                        qemu,
                        memoryMiB,
                        append,
                        arguments.isEmpty() ? "" : ", " + String.join(", ", arguments),
                        String.join("\n", containerSpec).indent(2));
    }
}
