package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.LazyParts;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.RestoreChecks;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.FolderId;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.QemuVersion;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** A lazy resume step by step, as launcher and agent do it; without a pod, so that the image has the path of the store. */
final class LazyVm {
    private static final FolderId FOLDER = new FolderId(1, 2);

    private LazyVm() {}

    /**
     * Starts QEMU with memory from an image.
     *
     * @param arguments of the VM, as its container names them
     */
    static Vm start(Path temp, Path storePath, CommittedImage image, List<String> arguments)
            throws IOException, TorporException {
        return start("qemu-system-x86_64", temp, storePath, image, arguments);
    }

    /** Starts another QEMU than the installed one likewise. */
    static Vm start(String qemu, Path temp, Path storePath, CommittedImage image, List<String> arguments)
            throws IOException, TorporException {
        List<String> command = new ArrayList<>(List.of(qemu));
        command.addAll(arguments);
        Ask ask = new Ask("id", command, Optional.of(new QemuVersion(10, 0)), Optional.of(FOLDER));
        LazyStart start = LazyStart.of(ask, new LazyStart.Image(image.header(), image.layout(), FOLDER));
        assertThat(start).isInstanceOf(LazyStart.Possible.class);
        String folder = String.valueOf(Saving.file(storePath, image).getParent());
        List<String> told = new ArrayList<>(((LazyStart.Possible) start)
                .argv().stream()
                        .skip(1)
                        .map(word -> word.replace(LazyStart.IMAGES, folder))
                        .toList());
        told.addAll(List.of("-incoming", "defer"));
        return Vm.start(qemu, temp, told);
    }

    /** Loads the rest, compares samples, and leaves the guest as it was saved: paused. Returns the mapped blocks. */
    static List<String> load(Vm vm, Path storePath, CommittedImage image) throws IOException, TorporException {
        ResumeTarget target = target(vm, storePath, image);
        RestoreChecks.compare(image.header().vm(), target.facts());
        List<String> mapped = List.copyOf(target.mapped());
        assertThat(LazyParts.expected(image.layout())).containsExactlyInAnyOrderElementsOf(mapped);
        try (LazyParts parts = LazyParts.of(image, Set.copyOf(mapped))) {
            QemuDirectEngine.feedShadow(
                    vm.qmp(), target, parts.shadow().buffered(), ImageHeader.STREAM_OFFSET_BYTES, new Cancellation());
            MappedMemory.compare(vm.qmp(), target, parts.samples());
            QemuDirectEngine.settle(vm.qmp());
        }
        return mapped;
    }

    static ResumeTarget target(Vm vm, Path storePath, CommittedImage image) throws TorporException {
        return QemuProbe.target(
                vm.qmp(), image.layout(), Saving.file(storePath, image).toString());
    }

    static List<String> mapped(Vm vm, Path storePath, CommittedImage image) throws TorporException {
        return MappedMemory.of(
                vm.qmp(), image.layout(), Saving.file(storePath, image).toString());
    }

    /** Returns the bytes of a file that a process has in memory through its mappings. */
    static long residentBytes(Vm vm, String fileName) throws IOException {
        return bytes(vm, fileName, "Rss:");
    }

    /** Returns how many of them are mapped 2 MiB at a time, of a file in memory. */
    static long hugeBytes(Vm vm, String fileName) throws IOException {
        return bytes(vm, fileName, "ShmemPmdMapped:");
    }

    /** Sums up one line of all mappings of a file (smaps of proc(5)). */
    private static long bytes(Vm vm, String fileName, String name) throws IOException {
        long bytes = 0;
        boolean ofFile = false;
        for (String line : Files.readAllLines(
                Path.of("/proc", Integer.toString(vm.process().pid()), "smaps"))) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                ofFile = line.contains(fileName);
            } else if (ofFile && line.startsWith(name)) {
                bytes += Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        return bytes;
    }
}
