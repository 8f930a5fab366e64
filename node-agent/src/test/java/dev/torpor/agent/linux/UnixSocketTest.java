package dev.torpor.agent.linux;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class UnixSocketTest {
    private static final Duration SOON = Duration.ofSeconds(10);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void bytesPassBothWaysThroughTheCheckedInode() throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(temp.resolve("s")));
            try (Directory directory = Directory.open(temp);
                    Descriptor inode = directory.openFile("s", Access.NAME_ONLY);
                    UnixSocket socket = UnixSocket.connect(inode);
                    SocketChannel accepted = server.accept()) {
                assertThat(inode.facts().isSocket()).isTrue();
                assertThat(socket.peer().pid())
                        .isEqualTo((int) ProcessHandle.current().pid());
                socket.send("hello".getBytes(UTF_8), List.of(), SOON);
                ByteBuffer got = ByteBuffer.allocate(16);
                accepted.read(got);
                assertThat(new String(got.array(), 0, got.position(), UTF_8)).isEqualTo("hello");
                byte[] answer = new byte[16];
                assertThat(socket.receive(answer, Duration.ZERO)).isZero();
                accepted.write(ByteBuffer.wrap("hi".getBytes(UTF_8)));
                assertThat(socket.receive(answer, SOON)).isEqualTo(2);
                accepted.shutdownOutput();
                assertThat(socket.receive(answer, SOON)).isEqualTo(-1);
            }
        }
    }

    @Test
    void whatWasLookedAtIsConnectedToWhateverItsNameIsByThen() throws IOException {
        try (ServerSocketChannel looked = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
                ServerSocketChannel other = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            looked.bind(UnixDomainSocketAddress.of(temp.resolve("s")));
            other.bind(UnixDomainSocketAddress.of(temp.resolve("other")));
            other.configureBlocking(false);
            try (Directory directory = Directory.open(temp);
                    Descriptor inode = directory.openFile("s", Access.NAME_ONLY)) {
                directory.rename("other", "s");
                try (UnixSocket socket = UnixSocket.connect(inode);
                        SocketChannel accepted = looked.accept()) {
                    socket.send("hello".getBytes(UTF_8), List.of(), SOON);
                    ByteBuffer got = ByteBuffer.allocate(5);
                    accepted.read(got);
                    assertThat(new String(got.array(), UTF_8)).isEqualTo("hello");
                    assertThat(other.accept()).isNull();
                }
            }
        }
    }
}
