package dev.torpor.agent.image;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where QEMU's device state ends, of streams that are longer than a piece of them. */
class StreamEndTest {
    private static final int PIECE_BYTES = 64 << 10;
    private static final String DESCRIPTION = "{\"page_size\": 4096}";

    private int largestRead;

    /** The description begins before, at and behind the border of two pieces, and in the middle of the border's word. */
    @ParameterizedTest
    @ValueSource(
            ints = {1000, PIECE_BYTES - 20, PIECE_BYTES - 7, PIECE_BYTES - 3, PIECE_BYTES - 1, PIECE_BYTES, 200_000})
    void aDescriptionIsFoundWhereverPiecesOfTheStreamEnd(int stateBytes) throws IOException {
        byte[] stream = stream(stateBytes);
        StreamEnd end = StreamEnd.of(source(stream), 0, stream.length);
        assertThat(end.found()).isTrue();
        assertThat(end.foundDescription()).isTrue();
        StreamEnd cutOff = StreamEnd.of(source(stream), 0, stream.length - 1);
        assertThat(cutOff.found()).isFalse();
        assertThat(cutOff.foundDescription()).isFalse();
    }

    /** Each commit of streams looks at up to 16 MiB of the main one. */
    @Test
    void aLongStreamIsNotReadAsAWhole() throws IOException {
        byte[] stream = stream(3 << 20);
        assertThat(StreamEnd.of(source(stream), 1 << 20, stream.length).found()).isTrue();
        assertThat(largestRead).isEqualTo(PIECE_BYTES);
    }

    @Test
    void aStreamThatIsShorterThanItIsSaidToBeHasNoEnd() throws IOException {
        byte[] stream = stream(1000);
        assertThat(StreamEnd.of(source(new byte[0]), 0, 100).found()).isFalse();
        byte[] half = Arrays.copyOf(stream, stream.length / 2);
        assertThat(StreamEnd.of(source(half), 0, stream.length).foundDescription())
                .isFalse();
    }

    private ByteSource source(byte[] bytes) {
        return (buffer, offset) -> {
            largestRead = Math.max(largestRead, buffer.remaining());
            int n = (int) Math.max(0, Math.min(buffer.remaining(), bytes.length - offset));
            buffer.put(bytes, (int) offset, n);
            return n;
        };
    }

    private static byte[] stream(int stateBytes) {
        byte[] state = new byte[stateBytes];
        new Random(stateBytes).nextBytes(state);
        byte[] description = DESCRIPTION.getBytes(US_ASCII);
        return ByteBuffer.allocate(stateBytes + 6 + description.length)
                .put(state)
                .put((byte) 0)
                .put((byte) 6)
                .putInt(description.length)
                .put(description)
                .array();
    }
}
