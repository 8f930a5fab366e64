package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedMap;
import java.util.TreeMap;

/** The JSON of an image's header: {@code image}, {@code definition}, {@code disks}, {@code save}, {@code layout}. */
final class HeaderJson {
    private static final int TEXT_MAX = 1024;
    private static final int CPU_MODEL_LENGTH_MAX = 64 * 1024; // with every feature by name
    private static final int ENTRIES_MAX = 4096;
    private static final long BYTES_MAX = 1L << 56;
    private static final int DISKS_MAX = 256;
    private static final int CHANNELS_MAX = 255;
    private static final int VCPUS_MAX = 4096;
    private static final long WORD_MAX = 0xffff_ffffL;

    private HeaderJson() {}

    static byte[] encode(ImageHeader header, ImageLayout layout) {
        return JsonFields.bytes(tree(header, layout));
    }

    static ObjectNode tree(ImageHeader header, ImageLayout layout) {
        ObjectNode root = JsonFields.newObject();
        root.putObject("image")
                .put("namespace", header.id().namespace())
                .put("vm", header.id().vm())
                .put("uid", header.id().uid())
                .put("mode", header.mode().word());
        root.set("definition", definition(header.vm()));
        if (!header.disks().equals(VmDisks.UNKNOWN)) {
            root.set("disks", disks(header.disks()));
        }
        root.putObject("save")
                .put("engine", header.engine())
                .put("channels", header.channels())
                .put("directIO", header.directIO())
                .put("runNumber", header.runNumber())
                .put("wasRunning", header.wasRunning())
                .put("startedAt", header.startedAt().toString())
                .put("completedAt", header.completedAt().toString());
        root.set("layout", layout(layout));
        return root;
    }

    private static ObjectNode definition(VmDefinition vm) {
        ObjectNode node = JsonFields.newObject()
                .put("qemuVersion", vm.qemuVersion())
                .put("machineType", vm.machineType())
                .put("vcpus", vm.vcpus())
                .put("uuid", vm.uuid())
                .put("cpuModel", vm.cpuModel())
                .put("accelerator", vm.accelerator())
                .put("memoryBytes", vm.memoryBytes());
        node.set("devices", JsonFields.array(vm.devices()));
        ObjectNode blocks = node.putObject("ramBlocks");
        vm.ramBlocks().forEach(blocks::put);
        if (!vm.cpuFeatures().isEmpty()) {
            ObjectNode features = node.putObject("cpuFeatures");
            vm.cpuFeatures().forEach(features::put);
        }
        return node;
    }

    private static ObjectNode disks(VmDisks disks) {
        ObjectNode node = JsonFields.newObject();
        ArrayNode claims = node.putArray("claims");
        for (VmDisks.Claim claim : disks.claims()) {
            claims.addObject().put("name", claim.name()).put("uid", claim.uid());
        }
        ArrayNode files = node.putArray("files");
        for (VmDisks.DiskFile file : disks.files()) {
            ObjectNode one = files.addObject()
                    .put("file", file.file())
                    .put("driver", file.driver())
                    .put("sizeBytes", file.sizeBytes());
            file.modifiedAt().ifPresent(time -> one.put("modifiedAt", time.toString()));
        }
        return node;
    }

    private static ObjectNode layout(ImageLayout layout) {
        if (layout.channels().isPresent()) {
            return channels(layout.channels().get());
        }
        ObjectNode node = JsonFields.newObject()
                .put("sizeBytes", layout.sizeBytes())
                .put("deviceStateOffsetBytes", layout.deviceStateOffsetBytes())
                .put("presentPages", layout.presentPages())
                .put("headersCrc32c", JsonFields.hex(layout.headersCrc32c()))
                .put("bitmapsCrc32c", JsonFields.hex(layout.bitmapsCrc32c()))
                .put("deviceStateCrc32c", JsonFields.hex(layout.deviceStateCrc32c()));
        ArrayNode blocks = node.putArray("blocks");
        for (RamBlock block : layout.blocks()) {
            blocks.addObject()
                    .put("name", block.name())
                    .put("usedBytes", block.usedBytes())
                    .put("pageBytes", block.pageBytes())
                    .put("bitmapOffsetBytes", block.bitmap().offsetBytes())
                    .put("pagesOffsetBytes", block.pages().offsetBytes());
        }
        return node;
    }

    private static ObjectNode channels(ChannelLayout layout) {
        ObjectNode node = JsonFields.newObject().put("sizeBytes", layout.sizeBytes());
        ObjectNode channels = node.putObject("channels")
                .put("unitBytes", ChannelLayout.UNIT_BYTES)
                .put("compression", layout.compression().method().word());
        layout.compression().level().ifPresent(level -> channels.put("compressionLevel", level));
        ArrayNode lengths = channels.putArray("lengthsBytes");
        layout.lengthsBytes().forEach(lengths::add);
        channels.put("checksumsOffsetBytes", layout.checksums().offsetBytes())
                .put("checksumsCrc32c", JsonFields.hex(layout.checksumsCrc32c()));
        return node;
    }

    /** Header and layout of one image. */
    record Decoded(ImageHeader header, ImageLayout layout) {}

    static Decoded decode(byte[] json) throws IOException {
        JsonFields root = JsonFields.parse(json);
        JsonFields image = root.object("image");
        JsonFields save = root.object("save");
        ImageHeader header = new ImageHeader(
                id(image),
                image.oneOf("mode", ImageMode.values(), ImageMode::word),
                decodeDefinition(root.object("definition")),
                save.text("engine", TEXT_MAX),
                (int) save.number("channels", 1, CHANNELS_MAX),
                save.flag("directIO"),
                save.number("runNumber", 0, Long.MAX_VALUE),
                save.flag("wasRunning"),
                save.instant("startedAt"),
                save.instant("completedAt"),
                root.has("disks") ? decodeDisks(root.object("disks")) : VmDisks.UNKNOWN);
        return new Decoded(header, decodeLayout(root.object("layout")));
    }

    static ImageId id(JsonFields image) throws IOException {
        String namespace = image.text("namespace", TEXT_MAX);
        String vm = image.text("vm", TEXT_MAX);
        String uid = image.text("uid", TEXT_MAX);
        if (!ImageId.isName(namespace)) {
            throw image.wrong("namespace", "a name");
        }
        if (!ImageId.isName(vm)) {
            throw image.wrong("vm", "a name");
        }
        if (!ImageId.isUid(uid)) {
            throw image.wrong("uid", "a UID");
        }
        return new ImageId(namespace, vm, uid);
    }

    private static VmDefinition decodeDefinition(JsonFields vm) throws IOException {
        SortedMap<String, Long> blocks = new TreeMap<>();
        JsonFields ramBlocks = vm.object("ramBlocks");
        for (String name : ramBlocks.names(ENTRIES_MAX)) {
            blocks.put(name, ramBlocks.number(name, 1, BYTES_MAX));
        }
        SortedMap<String, Long> cpuFeatures = new TreeMap<>();
        if (vm.has("cpuFeatures")) {
            JsonFields words = vm.object("cpuFeatures");
            for (String name : words.names(ENTRIES_MAX)) {
                cpuFeatures.put(name, words.number(name, 0, WORD_MAX));
            }
        }
        return new VmDefinition(
                vm.text("qemuVersion", TEXT_MAX),
                vm.text("machineType", TEXT_MAX),
                (int) vm.number("vcpus", 1, VCPUS_MAX),
                vm.text("uuid", TEXT_MAX),
                vm.text("cpuModel", CPU_MODEL_LENGTH_MAX),
                vm.text("accelerator", TEXT_MAX),
                vm.texts("devices", ENTRIES_MAX, TEXT_MAX),
                blocks,
                vm.number("memoryBytes", 1, BYTES_MAX),
                cpuFeatures);
    }

    private static VmDisks decodeDisks(JsonFields disks) throws IOException {
        List<VmDisks.Claim> claims = new ArrayList<>();
        for (JsonFields claim : disks.objects("claims", DISKS_MAX)) {
            claims.add(new VmDisks.Claim(claim.text("name", TEXT_MAX), claim.text("uid", TEXT_MAX)));
        }
        List<VmDisks.DiskFile> files = new ArrayList<>();
        for (JsonFields file : disks.objects("files", DISKS_MAX)) {
            files.add(new VmDisks.DiskFile(
                    file.text("file", TEXT_MAX),
                    file.text("driver", TEXT_MAX),
                    file.number("sizeBytes", 0, Long.MAX_VALUE),
                    file.has("modifiedAt") ? Optional.of(file.instant("modifiedAt")) : Optional.empty()));
        }
        return new VmDisks(claims, files);
    }

    private static ImageLayout decodeChannels(JsonFields layout, JsonFields channels) throws IOException {
        Compression.Method method =
                channels.oneOf("compression", Compression.Method.values(), Compression.Method::word);
        OptionalInt level = channels.has("compressionLevel")
                ? OptionalInt.of((int) channels.number("compressionLevel", 0, method.levelMax()))
                : OptionalInt.empty();
        ChannelLayout decoded = new ChannelLayout(
                new Compression(method, level),
                channels.numbers("lengthsBytes", CHANNELS_MAX + 1, 0, BYTES_MAX),
                channels.crc("checksumsCrc32c"));
        decoded.check();
        // All that follows from the lengths, said for readers of other kinds.
        same(channels, "unitBytes", ChannelLayout.UNIT_BYTES);
        same(channels, "checksumsOffsetBytes", decoded.checksums().offsetBytes());
        same(layout, "sizeBytes", decoded.sizeBytes());
        return ImageLayout.of(decoded);
    }

    private static void same(JsonFields fields, String name, long expected) throws IOException {
        if (fields.number(name, 0, Long.MAX_VALUE) != expected) {
            throw fields.wrong(name, String.valueOf(expected));
        }
    }

    private static ImageLayout decodeLayout(JsonFields layout) throws IOException {
        if (layout.has("channels")) {
            return decodeChannels(layout, layout.object("channels"));
        }
        List<RamBlock> blocks = new ArrayList<>();
        for (JsonFields block : layout.objects("blocks", ENTRIES_MAX)) {
            blocks.add(decodeBlock(block));
        }
        return new ImageLayout(
                layout.number("sizeBytes", ImageHeader.STREAM_OFFSET_BYTES, BYTES_MAX),
                blocks,
                layout.number("deviceStateOffsetBytes", ImageHeader.STREAM_OFFSET_BYTES, BYTES_MAX),
                layout.number("presentPages", 0, BYTES_MAX),
                layout.crc("headersCrc32c"),
                layout.crc("bitmapsCrc32c"),
                layout.crc("deviceStateCrc32c"));
    }

    private static RamBlock decodeBlock(JsonFields block) throws IOException {
        long used = block.number("usedBytes", 1, BYTES_MAX);
        long page = block.number("pageBytes", 1, BYTES_MAX);
        long bitmap = block.number("bitmapOffsetBytes", 0, BYTES_MAX);
        long pages = block.number("pagesOffsetBytes", 0, BYTES_MAX);
        boolean leftOut = bitmap == 0 && pages == 0;
        return new RamBlock(
                block.text("name", TEXT_MAX),
                used,
                page,
                new Extent(bitmap, leftOut ? 0 : MappedRamStream.bitmapBytes(used / page)),
                new Extent(pages, leftOut ? 0 : used));
    }
}
