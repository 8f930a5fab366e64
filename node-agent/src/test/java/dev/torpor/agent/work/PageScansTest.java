package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.metrics.AgentMetrics;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The order of scans; what one does to an image is tested with the store. */
class PageScansTest {
    private static final ImageId ONE = new ImageId("vms", "web", "u1");
    private static final ImageId TWO = new ImageId("vms", "web", "u2");

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void anImageThatIsGoneIsNoDamageAndMayComeAgain() throws Exception {
        BlockingQueue<ImageId> ended = new LinkedBlockingQueue<>();
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                PageScans scans =
                        new PageScans(store, new AgentMetrics(new SimpleMeterRegistry()), () -> false, ended::add)) {
            scans.submit(ONE);
            assertThat(ended.poll(1, TimeUnit.MINUTES)).isEqualTo(ONE);
            assertThat(store.damage(ONE)).isEmpty();
            scans.submit(ONE);
            scans.submit(TWO);
            assertThat(ended.poll(1, TimeUnit.MINUTES)).isEqualTo(ONE);
            assertThat(ended.poll(1, TimeUnit.MINUTES)).isEqualTo(TWO);
        }
    }
}
