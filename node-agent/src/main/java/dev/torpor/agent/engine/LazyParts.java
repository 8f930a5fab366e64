package dev.torpor.agent.engine;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.stream.Collectors;

/**
 * What of a lazy resume needs no QEMU, and so is made while QEMU starts: the shadow that it loads instead of the image, and
 * the pages that its guest's memory is compared with. Closed by whoever made it, once loaded.
 *
 * @param mapped names of the blocks that QEMU maps
 * @param shadow what it loads ({@link CommittedImage#openShadowForQemu})
 * @param samples what is compared before the guest runs
 */
public record LazyParts(Set<String> mapped, ImageFiles shadow, MappedMemory.Samples samples) implements AutoCloseable {
    public LazyParts {
        mapped = Set.copyOf(mapped);
    }

    /**
     * Makes them.
     *
     * @throws TorporException ImageMissing, ImageDamaged, ImageTruncated; NotEnoughSpace, StoreFailed
     */
    public static LazyParts of(CommittedImage image, Set<String> mapped) throws TorporException {
        MappedMemory.Samples samples;
        try (ImageFiles files = image.openForQemu(false)) {
            samples = MappedMemory.Samples.of(
                    image.layout(), mapped, files.buffered()::read, RandomGenerator.getDefault());
        } catch (IOException e) {
            throw new TorporException(FailureReason.StoreFailed, "the image's file cannot be closed", e);
        }
        return new LazyParts(mapped, image.openShadowForQemu(mapped), samples);
    }

    /**
     * Returns the blocks that a QEMU will have mapped, in all likelihood: the guest's RAM. QEMU itself says later which it
     * has ({@link MappedMemory#of}); if that is something else, the parts are made again.
     */
    public static Set<String> expected(ImageLayout layout) {
        return layout.blocks().stream()
                .filter(MappedMemory::mayBeMapped)
                .map(RamBlock::name)
                .collect(Collectors.toSet());
    }

    @Override
    public void close() throws IOException {
        shadow.close();
    }
}
