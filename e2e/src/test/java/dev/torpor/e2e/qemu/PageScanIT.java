package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PageCheck;
import dev.torpor.agent.image.RamBlock;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Pages of a real guest: read back, given checksums, and damaged by one bit. */
@Tag("qemu")
class PageScanIT {
    @Test
    void aFlippedBitInAPageIsFoundByItsChecksum(@TempDir Path temp) throws Exception {
        Path storePath = temp.resolve("store");
        try (ImageStore store = ImageStore.open(storePath)) {
            CommittedImage image;
            try (Vm source = Vm.guest(temp)) {
                source.process().awaitTick(tick -> tick.number() >= 1);
                image = Saving.save(source, store);
            }
            assertThat(image.verify((_, _) -> {}).compared()).isFalse();
            assertThat(store.verify(image.id(), (_, _) -> {})).isTrue();
            assertThat(store.state(image.id())).contains(new ImageState.Verified());
            PageCheck whole = image.verify((_, _) -> {});
            assertThat(whole.compared()).isTrue();
            assertThat(whole.bytes()).isEqualTo(image.layout().presentPages() * 4096);

            RamBlock ram = image.layout().blocks().stream()
                    .filter(block -> block.name().equals("pc.ram"))
                    .findFirst()
                    .orElseThrow();
            Path file = Saving.file(storePath, image);
            long at = firstByteThatIsNotZero(file, ram);
            flip(file, at);
            // Nothing else that is looked at notices.
            assertThat(store.open(image.id()).header()).isEqualTo(image.header());
            long chunk = ram.pages().offsetBytes() + (at - ram.pages().offsetBytes()) / (1 << 20) * (1 << 20);
            assertThatThrownBy(() -> image.verify((_, _) -> {}))
                    .isInstanceOfSatisfying(
                            TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged))
                    .hasMessageStartingWith(
                            "the image is damaged: the checksum of RAM block 'pc.ram' at offset " + chunk + " is ");
            AgentCommand.Result told =
                    AgentCommand.run(temp, "image", "verify", image.id().uid(), "--store", storePath);
            assertThat(told.errors()).contains("RAM block 'pc.ram' at offset " + chunk);
            assertThat(told.code()).isNotZero();

            flip(file, at);
            assertThat(AgentCommand.run(temp, "image", "verify", image.id().uid(), "--store", storePath)
                            .output())
                    .endsWith(" match theirs");
        }
    }

    private static long firstByteThatIsNotZero(Path file, RamBlock ram) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            ByteBuffer page = ByteBuffer.allocate(4096);
            for (long at = ram.pages().offsetBytes() + (16 << 20);
                    at < ram.pages().endBytes();
                    at += 4096) {
                channel.read(page.clear(), at);
                for (int i = 0; i < page.position(); i++) {
                    if (page.get(i) != 0) {
                        return at + i;
                    }
                }
            }
        }
        throw new IllegalStateException("the guest's memory is empty");
    }

    private static void flip(Path file, long at) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            ByteBuffer one = ByteBuffer.allocate(1);
            channel.read(one, at);
            channel.write(ByteBuffer.wrap(new byte[] {(byte) (one.get(0) ^ 1)}), at);
        }
    }
}
