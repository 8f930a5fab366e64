package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialImage;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.image.SampleGuest;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;

/** Commits an image of the sample guest that nobody saved. */
final class SampleSave {
    private SampleSave() {}

    static void commit(ImageStore store, ImageId id, ImageMode mode) throws Exception {
        PartialImage partial = store.create(id, new PartialIntent(mode, 0, true, Optional.empty(), Instant.EPOCH));
        try (ImageFiles files = partial.openForQemu(false)) {
            for (Map.Entry<Long, byte[]> part : SampleGuest.parts(new byte[8]).entrySet()) {
                files.buffered().write(ByteBuffer.wrap(part.getValue()), part.getKey());
            }
        }
        var _ = partial.commit(
                new ImageHeader(
                        id,
                        mode,
                        SampleGuest.definition(),
                        "qemu-direct",
                        2,
                        false,
                        0,
                        true,
                        Instant.EPOCH,
                        Instant.EPOCH),
                SampleGuest.pages());
    }
}
