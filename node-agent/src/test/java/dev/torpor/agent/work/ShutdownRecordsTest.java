package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.linux.Directory;
import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.UnsavedVM;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the next agent knows of the last one's saves and of the node's last shutdown. */
class ShutdownRecordsTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void theRateOfTheLastSaveIsKnownAfterABoot() throws IOException {
        try (Directory store = Directory.open(temp)) {
            AtomicLong measured = new AtomicLong();
            SaveRate first = new SaveRate(store, measured::get);
            assertThat(first.bytesPerSecond()).isEmpty();
            measured.set(700);
            assertThat(first.bytesPerSecond()).hasValue(700);
            first.keep();

            SaveRate next = new SaveRate(store, () -> 0);
            next.keep();
            assertThat(next.bytesPerSecond()).hasValue(700);
        }
    }

    @Test
    void aRateThatNobodyCanReadIsNone() throws IOException {
        Files.writeString(temp.resolve("save-rate"), "fast");
        try (Directory store = Directory.open(temp)) {
            assertThat(new SaveRate(store, () -> 0).bytesPerSecond()).isEmpty();
        }
    }

    @Test
    void theLastReportIsThereAfterABootAndOneThatNobodyCanReadIsNone() throws IOException {
        NodeShutdownStatus report = new NodeShutdownStatus(
                "2026-01-01T00:00:00Z",
                5L,
                1,
                false,
                List.of(new UnsavedVM("vms", "big", "p1", "DeadlineExceeded", "no time was left")));
        try (Directory store = Directory.open(temp)) {
            ShutdownReports first = new ShutdownReports(store);
            assertThat(first.last()).isEmpty();
            first.keep(report);
            assertThat(new ShutdownReports(store).last()).contains(report);

            Files.writeString(temp.resolve("shutdown.json"), "{");
            assertThat(new ShutdownReports(store).last()).isEmpty();
        }
    }
}
