package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReadAheadPlanTest {
    private static final int PAGES_PER_MIB = 256;
    private static final long BYTES = 100L << 20;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private String plan(List<Integer> first, List<Integer> second, String... mapped) throws IOException {
        SampleStream sample = new SampleStream();
        sample.blocks.clear();
        sample.blocks.add(new SampleStream.Block("m0", BYTES, first));
        sample.blocks.add(new SampleStream.Block("m1", 2 << 20, second));
        SampleStream.Content content = sample.compose();
        Path file = Files.createFile(temp.resolve("image" + first.size()));
        content.writeTo(file);
        try (Directory directory = Directory.open(temp);
                Descriptor image = directory.openFile(file.getFileName().toString(), Access.READ)) {
            ImageLayout layout =
                    LayoutScan.scan(image::read, content.sizeBytes(), 2 * BYTES).layout();
            return ReadAheadPlan.of(image, layout, Set.of(mapped));
        }
    }

    @Test
    void onlyWhatHoldsPagesIsRead() throws IOException {
        List<Integer> pages = List.of(0, 1, 3 * PAGES_PER_MIB + 7, 5 * PAGES_PER_MIB - 1, 99 * PAGES_PER_MIB);
        // The first block's pages begin at 2 MiB; 0, 3, 4 and 99 hold some.
        assertThat(plan(pages, List.of(), "m0", "m1")).isEqualTo("2 1\n2 2\n94 1\n");
    }

    @Test
    void noLineReadsMoreThan32MiB() throws IOException {
        List<Integer> pages =
                IntStream.range(0, 70).map(mib -> mib * PAGES_PER_MIB).boxed().toList();
        assertThat(plan(pages, List.of(), "m0")).isEqualTo("2 32\n0 32\n0 6\n");
    }

    @Test
    void blocksThatAreNotMappedAreLeftOut() throws IOException {
        assertThat(plan(List.of(0), List.of(0, 300), "m0")).isEqualTo("2 1\n");
        // The second block follows the first one's 100 MiB and its own bitmap.
        assertThat(plan(List.of(0, 1), List.of(0, 300), "m1")).isEqualTo("103 2\n");
        assertThat(plan(List.of(), List.of(), "m0", "m1")).isEmpty();
    }
}
