package dev.torpor.agent.image;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Optional;

/** The JSON of the record beside an image. */
final class RecordJson {
    static final int BYTES_MAX = 64 * 1024;
    private static final int TEXT_MAX = 1024;
    private static final String[] STATES = {"Partial", "Complete", "Verified", "HandedOver", "Consumed", "Stale"};

    private RecordJson() {}

    static byte[] encode(ImageRecord record) {
        PartialIntent intent = record.intent();
        ObjectNode root = SealedJson.begin()
                .put("namespace", record.id().namespace())
                .put("vm", record.id().vm())
                .put("uid", record.id().uid())
                .put("state", record.state().word())
                .put("mode", intent.mode().word())
                .put("runNumber", intent.runNumber())
                .put("wasRunning", intent.wasRunning())
                .put("startedAt", intent.startedAt().toString());
        intent.source().ifPresent(process -> root.set("source", encode(process)));
        if (intent.frozen()) {
            root.put("frozen", true);
        }
        if (intent.imported()) {
            root.put("imported", true);
        }
        record.seal().ifPresent(seal -> {
            ObjectNode file = root.putObject("file")
                    .put("sizeBytes", seal.sizeBytes())
                    .put("headerCrc32c", JsonFields.hex(seal.headerCrc32c()));
            seal.modifiedAt().ifPresent(time -> file.put("modifiedAt", time.toString()));
        });
        if (record.state() instanceof ImageState.HandedOver(ProcessIdentity process)) {
            root.set("process", encode(process));
        }
        return SealedJson.seal(root);
    }

    private static ObjectNode encode(ProcessIdentity process) {
        return JsonFields.newObject()
                .put("podUID", process.podUID())
                .put("containerID", process.containerID())
                .put("bootID", process.bootID())
                .put("pid", process.pid())
                .put("startTicks", process.startTicks());
    }

    /**
     * Decodes a record.
     *
     * @param id the identity that its place gives it
     */
    static ImageRecord decode(byte[] json, ImageId id) throws IOException {
        JsonFields root = JsonFields.of(SealedJson.open(json));
        if (!HeaderJson.id(root).equals(id)) {
            throw new MalformedImageException("it is the record of another image, " + HeaderJson.id(root));
        }
        PartialIntent intent = new PartialIntent(
                root.oneOf("mode", ImageMode.values(), ImageMode::word),
                root.number("runNumber", 0, Long.MAX_VALUE),
                root.flag("wasRunning"),
                root.has("source") ? Optional.of(process(root.object("source"))) : Optional.empty(),
                root.instant("startedAt"),
                root.has("frozen") && root.flag("frozen"),
                root.has("imported") && root.flag("imported"));
        ImageState state = state(root);
        Optional<ImageRecord.Seal> seal = Optional.empty();
        if (!(state instanceof ImageState.Partial)) {
            JsonFields file = root.object("file");
            seal = Optional.of(new ImageRecord.Seal(
                    file.number("sizeBytes", 0, Long.MAX_VALUE),
                    file.crc("headerCrc32c"),
                    file.has("modifiedAt") ? Optional.of(file.instant("modifiedAt")) : Optional.empty()));
        }
        return new ImageRecord(id, intent, seal, state);
    }

    private static ImageState state(JsonFields root) throws IOException {
        String word = root.oneOf("state", STATES, w -> w);
        return switch (word) {
            case "Partial" -> new ImageState.Partial();
            case "Complete" -> new ImageState.Complete();
            case "Verified" -> new ImageState.Verified();
            case "HandedOver" -> new ImageState.HandedOver(process(root.object("process")));
            case "Consumed" -> new ImageState.Consumed();
            case "Stale" -> new ImageState.Stale();
            default -> throw new IllegalStateException(word);
        };
    }

    private static ProcessIdentity process(JsonFields process) throws IOException {
        return new ProcessIdentity(
                process.text("podUID", TEXT_MAX),
                process.text("containerID", TEXT_MAX),
                process.text("bootID", TEXT_MAX),
                (int) process.number("pid", 1, Integer.MAX_VALUE),
                process.number("startTicks", 0, Long.MAX_VALUE));
    }
}
