package dev.torpor.agent.image;

import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.Optional;
import java.util.function.BiFunction;

/** Compares an image's file with its record and with what it says of itself, the cheap and bounded things first. */
final class ImageCheck {
    private final Descriptor file;
    private final Optional<ImageRecord.Seal> seal;

    ImageCheck(Descriptor file, Optional<ImageRecord.Seal> seal) {
        this.file = file;
        this.seal = seal;
    }

    <T> T check(BiFunction<HeaderArea, FileFacts, T> result) throws IOException, TorporException {
        FileFacts facts = file.facts();
        if (seal.isPresent()) {
            compareSize(facts.sizeBytes(), seal.get().sizeBytes());
        }
        HeaderArea area = HeaderArea.read(file::read);
        if (seal.isPresent() && seal.get().headerCrc32c() != area.crc32c()) {
            throw damaged("its header is not the one that was committed");
        }
        ImageLayout expected = area.layout();
        compareSize(facts.sizeBytes(), expected.sizeBytes());
        if (expected.channels().isPresent()) {
            // Each unit is compared when it is read, which is before a guest runs.
            var _ = ChannelReader.checksums(file::read, expected.channels().get());
            return result.apply(area, facts);
        }
        ImageLayout actual;
        try {
            actual = LayoutScan.scan(
                            file::read, facts.sizeBytes(), area.header().vm().memoryBytes())
                    .layout();
        } catch (MalformedImageException e) {
            throw damaged(e.why());
        }
        compare("the stream's headers", actual.headersCrc32c(), expected.headersCrc32c());
        compare("the bitmaps", actual.bitmapsCrc32c(), expected.bitmapsCrc32c());
        compare("the device state", actual.deviceStateCrc32c(), expected.deviceStateCrc32c());
        if (!actual.equals(expected)) {
            throw damaged("blocks or pages are not where its header says");
        }
        return result.apply(area, facts);
    }

    private static void compareSize(long actual, long expected) throws TorporException {
        if (actual != expected) {
            throw new TorporException(
                    FailureReason.ImageTruncated,
                    "the image has " + actual + " bytes; " + expected + " were committed");
        }
    }

    private static void compare(String what, int actual, int expected) throws TorporException {
        if (actual != expected) {
            throw damaged("the checksum of " + what + " is " + JsonFields.hex(actual) + ", and "
                    + JsonFields.hex(expected) + " was committed");
        }
    }

    private static TorporException damaged(String why) {
        return new TorporException(FailureReason.ImageDamaged, "the image is damaged: " + why);
    }
}
