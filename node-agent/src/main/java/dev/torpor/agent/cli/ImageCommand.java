package dev.torpor.agent.cli;

import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.LibvirtImage;
import dev.torpor.agent.image.LibvirtImport;
import dev.torpor.agent.image.PageCheck;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code torpor-agent image}: looks, without owning the store and without changing anything; or adds to it what libvirt saved. */
@Command(
        name = "image",
        mixinStandardHelpOptions = true,
        description = "Looks into images, which needs no right on the store but to read it; imports those of libvirt.")
final class ImageCommand implements Runnable {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }

    enum Format {
        TEXT,
        JSON
    }

    @Command(
            name = "inspect",
            mixinStandardHelpOptions = true,
            description = {
                "Checks all of an image but its pages, and shows what it says of itself.",
                "Of a file that virsh save wrote, its header and the domain's definition."
            })
    int inspect(
            @Parameters(paramLabel = "PATH|UID", description = "File of the image, or its UID in the store.")
                    String image,
            @Option(names = "--store", paramLabel = "DIR", description = "Folder of the images, for a UID.") @Nullable
                    Path store,
            @Option(
                            names = {"-o", "--output"},
                            paramLabel = "FORMAT",
                            defaultValue = "text",
                            description = "text (default) or json.")
                    Format format)
            throws TorporException {
        Optional<LibvirtImage> ofLibvirt = store == null ? LibvirtImage.read(Path.of(image)) : Optional.empty();
        if (ofLibvirt.isPresent()) {
            System.out.println(
                    switch (format) {
                        case TEXT -> text(ofLibvirt.get());
                        case JSON -> ofLibvirt.get().toJson();
                    });
            return ExitCode.DONE;
        }
        return open(
                image,
                store,
                found -> System.out.println(
                        switch (format) {
                            case TEXT -> text(found);
                            case JSON -> found.toJson();
                        }));
    }

    @Command(
            name = "verify",
            mixinStandardHelpOptions = true,
            description = {
                "Checks an image and reads every page that is in it from the disk.",
                "Header, stream headers, bitmaps and device state are compared with their checksums, and pages as well if "
                        + "there is a table of theirs beside the image; if not, that each can be read is what is checked.",
                "Of a file that virsh save wrote, that its lengths hold and its stream is that domain's, and whole."
            })
    int verify(
            @Parameters(paramLabel = "PATH|UID", description = "File of the image, or its UID in the store.")
                    String image,
            @Option(names = "--store", paramLabel = "DIR", description = "Folder of the images, for a UID.") @Nullable
                    Path store)
            throws TorporException {
        if (store == null && LibvirtImage.read(Path.of(image)).isPresent()) {
            try (ProgressBar bar = ProgressBar.onStandardError("verifying")) {
                verify(LibvirtImport.verify(Path.of(image), bar::progress));
            }
            return ExitCode.DONE;
        }
        return open(image, store, ImageCommand::verify);
    }

    @Command(
            name = "import",
            mixinStandardHelpOptions = true,
            description = {
                "Makes an image of a file that virsh save wrote, formats raw, gzip, zstd and sparse; the file stays as it is.",
                "The image waits in the store for the next start of the VM, as that of a managed save does. The agent that owns "
                        + "the store may be at work; it tells of the image, and the operator makes a VMSnapshot of it."
            })
    int importFile(
            @Parameters(paramLabel = "PATH", description = "File that virsh save wrote.") Path file,
            @Option(names = "--store", required = true, paramLabel = "DIR", description = "Folder of the images.")
                    Path store,
            @Option(names = "--namespace", required = true, paramLabel = "NS", description = "Namespace of the VM.")
                    String namespace,
            @Option(names = "--vm", required = true, paramLabel = "NAME", description = "Name that the VM has here.")
                    String vm)
            throws TorporException {
        ImageId id;
        try {
            id = new ImageId(namespace, vm, UUID.randomUUID().toString());
        } catch (IllegalArgumentException e) {
            throw new ParameterException(
                    spec.commandLine().getSubcommands().get("import"), String.valueOf(e.getMessage()), e);
        }
        try (ImageStore images = ImageStore.openReadOnly(store);
                ProgressBar bar = ProgressBar.onStandardError("importing")) {
            long runs = new VmJournal(images.directory())
                    .read(new VmName(namespace, vm))
                    .runs();
            if (runs > 0) {
                throw new TorporException(
                        FailureReason.VMRanSince,
                        "VM " + namespace + "/" + vm + " has run on this node " + runs
                                + " times, so the file cannot be known to"
                                + " belong to its disks: import it for a VM of another name");
            }
            CommittedImage image = LibvirtImport.run(images, id, file, runs, bar::progress);
            System.out.println(image.id().uid());
        }
        return ExitCode.DONE;
    }

    private static void verify(LibvirtImport.Verified file) {
        System.out.println("domain " + shown(file.domain().name()) + ": the header holds, and the stream of a "
                + shown(file.domain().machineType()) + " is whole ("
                + Amount.bytes(file.streamBytes()) + "); its pages "
                + (file.checksummed() ? "match the checksum of the compression" : "have no checksums"));
    }

    private static void verify(CommittedImage image) throws TorporException {
        PageCheck pages;
        try (ProgressBar bar = ProgressBar.onStandardError("verifying")) {
            pages = image.verify(bar::progress);
        }
        if (image.layout().channels().isPresent()) {
            System.out.println("image " + image.id() + ": the header and all "
                    + image.layout().channels().get().lengthsBytes().size() + " streams ("
                    + Amount.bytes(pages.bytes()) + ") match their checksums");
            return;
        }
        System.out.println("image " + image.id() + ": header, stream headers, bitmaps and device state match their "
                + "checksums; all " + image.layout().presentPages() + " pages (" + Amount.bytes(pages.bytes()) + ") "
                + (pages.compared() ? "match theirs" : "can be read, and have no checksums"));
    }

    @FunctionalInterface
    private interface Look {
        void at(CommittedImage image) throws TorporException;
    }

    /** Opens an image, by its path or in a store, which stays open while it is looked at. */
    private static int open(String image, @Nullable Path store, Look look) throws TorporException {
        if (store == null) {
            look.at(CommittedImage.open(Path.of(image)));
            return ExitCode.DONE;
        }
        try (ImageStore images = ImageStore.openReadOnly(store)) {
            List<ImageRecord> found = images.list().stream()
                    .filter(record -> record.id().uid().equals(image))
                    .toList();
            if (found.isEmpty()) {
                throw new TorporException(
                        FailureReason.ImageMissing, "there is no image with the UID " + image + " in this store");
            }
            look.at(images.open(found.getFirst().id()));
            return ExitCode.DONE;
        }
    }

    private static String text(LibvirtImage image) {
        StringBuilder out = new StringBuilder();
        line(out, "Image", "of libvirt, format version " + image.version() + ", " + image.byteOrder());
        line(out, "Mode", "Save, of a VM that was " + (image.wasRunning() ? "running" : "paused"));
        line(
                out,
                "Stream",
                image.format().name().toLowerCase(Locale.ROOT) + ", at offset " + image.streamOffsetBytes());
        line(out, "Cookie", image.hasCookie() ? "yes" : "none");
        line(
                out,
                "Restore",
                image.isImportable()
                        ? "after torpor-agent image import"
                        : "not of this format: restore the domain with libvirt, and save it again as zstd, raw or sparse");
        out.append(shown(image.xml()));
        return out.toString().stripTrailing();
    }

    /** Returns somebody's text as it may go to a terminal. */
    private static String shown(String text) {
        return text.replaceAll("[\\p{Cntrl}&&[^\n\t]]", "?");
    }

    private static String text(CommittedImage image) {
        ImageHeader header = image.header();
        VmDefinition vm = header.vm();
        ImageLayout layout = image.layout();
        StringBuilder out = new StringBuilder();
        line(
                out,
                "Image",
                image.id().uid()
                        + (image.record().isPresent()
                                ? ", " + image.record().get().state().word()
                                : ""));
        line(out, "VM", header.id().namespace() + "/" + header.id().vm() + ", run " + header.runNumber());
        line(out, "Mode", header.mode() + ", of a VM that was " + (header.wasRunning() ? "running" : "paused"));
        line(out, "Saved", header.startedAt() + " to " + header.completedAt());
        line(
                out,
                "Engine",
                header.engine() + ", " + header.channels() + " channels, "
                        + (header.directIO() ? "direct I/O" : "through the page cache"));
        line(
                out,
                "File",
                Amount.bytes(image.sizeBytes()) + " (" + image.sizeBytes() + " bytes), "
                        + Amount.bytes(image.allocatedBytes()) + " on disk, format version " + image.formatVersion());
        line(out, "Machine", vm.machineType() + ", QEMU " + vm.qemuVersion() + ", " + vm.accelerator());
        line(out, "CPU", vm.vcpus() + " x " + vm.cpuModel());
        line(out, "UUID", vm.uuid());
        if (layout.channels().isPresent()) {
            channels(out, vm, layout.channels().get());
        } else {
            pages(out, vm, layout);
        }
        return out.toString().stripTrailing();
    }

    private static void channels(StringBuilder out, VmDefinition vm, ChannelLayout layout) {
        line(out, "Memory", Amount.bytes(vm.memoryBytes()) + ", as streams of QEMU's channels");
        String level = layout.compression().level().isPresent()
                ? ", level " + layout.compression().level().getAsInt()
                : "";
        line(out, "Compression", layout.compression().method().word() + level);
        for (int channel = 0; channel < layout.lengthsBytes().size(); channel++) {
            line(
                    out,
                    channel == 0 ? "  main" : "  channel " + (channel - 1),
                    Amount.bytes(layout.lengthsBytes().get(channel)) + " ("
                            + layout.lengthsBytes().get(channel) + " bytes)");
        }
        devices(out, vm);
        line(out, "Checksums", "header and table of checksums match");
    }

    private static void devices(StringBuilder out, VmDefinition vm) {
        for (String device : vm.devices()) {
            line(out, "  device", device);
        }
    }

    private static void pages(StringBuilder out, VmDefinition vm, ImageLayout layout) {
        line(out, "Memory", Amount.bytes(vm.memoryBytes()) + ", " + layout.presentPages() + " pages in the file");
        for (RamBlock block : layout.blocks()) {
            line(
                    out,
                    "  block",
                    block.name() + ", " + Amount.bytes(block.usedBytes()) + ", pages at offset "
                            + block.pages().offsetBytes());
        }
        devices(out, vm);
        line(
                out,
                "Device state",
                Amount.bytes(layout.sizeBytes() - layout.deviceStateOffsetBytes()) + " at offset "
                        + layout.deviceStateOffsetBytes());
        line(out, "Checksums", "header, stream headers, bitmaps and device state match");
    }

    private static void line(StringBuilder out, String name, String value) {
        out.append(String.format("%-14s%s%n", name, value));
    }
}
