package dev.torpor.agent.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class AlignedMemoryTest {
    private static final int MIB = 1 << 20;
    private static final int MANY = 64;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void isAlignedZeroedAndGoodForCallsOfTheKernel() throws IOException {
        try (AlignedMemory memory = new AlignedMemory();
                Directory folder = Directory.open(temp);
                Descriptor file = folder.createFile("file")) {
            ByteBuffer buffer = memory.allocate(5000);
            assertThat(buffer.isDirect()).isTrue();
            assertThat(buffer.capacity()).isEqualTo(8192);
            assertThat(buffer.alignmentOffset(0, AlignedBuffer.ALIGNMENT_BYTES)).isZero();
            assertThat(buffer.getLong(4096)).isZero();
            buffer.putLong(4096, 42);
            file.write(buffer.limit(5000), 0);
            assertThat(Files.size(temp.resolve("file"))).isEqualTo(5000);
            assertThat(ByteBuffer.wrap(Files.readAllBytes(temp.resolve("file"))).getLong(4096))
                    .isEqualTo(42);
        }
    }

    @Test
    void goesBackToTheKernelWhenItIsClosed() throws IOException {
        long mapped;
        ByteBuffer last;
        try (AlignedMemory memory = new AlignedMemory()) {
            for (int n = 1; n < MANY; n++) {
                memory.allocate(MIB);
            }
            last = memory.allocate(MIB);
            mapped = mappedBytes();
        }
        assertThat(mapped - mappedBytes()).isGreaterThan(MANY / 2 * (long) MIB);
        assertThatThrownBy(() -> last.get(0)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void allTogetherHaveNoMoreThanTheirCeilingAndWhatIsClosedIsFreeAgain() throws IOException {
        int most = (int) (AlignedMemory.BYTES_MAX / MIB);
        try (AlignedMemory other = new AlignedMemory()) {
            try (AlignedMemory one = new AlignedMemory()) {
                for (int n = 1; n < most; n++) {
                    one.allocate(MIB);
                }
                other.allocate(MIB);
                assertThatThrownBy(() -> other.allocate(1))
                        .isInstanceOf(IOException.class)
                        .hasMessage("other saves and resumes have the 80 MiB that there are");
            }
            assertThat(other.allocate((most - 1) * MIB).capacity()).isEqualTo((most - 1) * MIB);
        }
    }

    @Test
    void aClosedOneHoldsNothing() throws IOException {
        AlignedMemory closed = new AlignedMemory();
        closed.close();
        assertThatThrownBy(() -> closed.allocate(MIB)).isInstanceOf(IllegalStateException.class);
        try (AlignedMemory all = new AlignedMemory()) {
            assertThat(all.allocate((int) AlignedMemory.BYTES_MAX).capacity()).isEqualTo(AlignedMemory.BYTES_MAX);
        }
    }

    @Test
    void aSecondCloseDoesNothing() {
        AlignedMemory memory = new AlignedMemory();
        memory.close();
        memory.close();
        assertThatThrownBy(() -> memory.allocate(1)).isInstanceOf(IllegalStateException.class);
    }

    private static long mappedBytes() throws IOException {
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ", -1)[0]) * 4096;
    }
}
