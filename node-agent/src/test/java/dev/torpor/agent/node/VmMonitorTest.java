package dev.torpor.agent.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class VmMonitorTest {
    private static final String POD = "3fa7c1de-0000-4111-8222-1234567890ab";
    private static final QmpLimits LIMITS = limits(Duration.ofSeconds(20));
    private static final QmpLimits IMPATIENT = limits(Duration.ofMillis(300));

    private static QmpLimits limits(Duration greeting) {
        return new QmpLimits(greeting, Duration.ofSeconds(20), 1 << 16, 16, 1000, 16, 100);
    }

    private static final String HONEST = """
            {"QMP":{"version":{"qemu":{"major":10,"minor":0,"micro":2}},"capabilities":[]}}
            {"return":{},"id":1}
            """;

    private static final int TRIES = 500;

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path kubelet;

    @SuppressWarnings("NullAway.Init")
    private Path volume;

    @BeforeEach
    void volume() throws IOException {
        volume = Files.createDirectories(kubelet.resolve("pods/" + POD + "/volumes/kubernetes.io~empty-dir/torpor"));
    }

    @Test
    void aPodWithoutTheVolumeHasNoSocket() {
        refused("11111111-0000-4111-8222-1234567890ab", FailureReason.SocketMissing, "volume torpor");
        refused("../" + POD, FailureReason.SocketMissing, "volume torpor");
    }

    @Test
    void aMissingSocketIsMissing() {
        refused(POD, FailureReason.SocketMissing, "is QEMU started through the launcher?");
    }

    @Test
    void aFileIsNotASocket() throws IOException {
        Files.createFile(volume.resolve("qmp.sock"));
        refused(POD, FailureReason.NotQEMU, "is not a socket");
    }

    @Test
    void aDirectoryIsNotASocket() throws IOException {
        Files.createDirectory(volume.resolve("qmp.sock"));
        refused(POD, FailureReason.NotQEMU, "is not a socket");
    }

    /** Whoever opens one that nobody writes to waits. */
    @Test
    void aFifoIsNotASocketAndNotOpened() throws Exception {
        fifo(volume.resolve("qmp.sock"));
        refused(POD, FailureReason.NotQEMU, "is not a socket");
    }

    private static void fifo(Path path) throws Exception {
        assertThat(new ProcessBuilder("mkfifo", path.toString()).start().waitFor())
                .isZero();
    }

    /** Between the look and the connection the name becomes a link to a socket of somebody else's, a FIFO, a directory. */
    @Test
    void aNameThatIsSwappedAllTheTimeLeadsNowhereElse() throws Exception {
        Path elsewhere = kubelet.resolve("elsewhere");
        Path name = volume.resolve("qmp.sock");
        Files.createSymbolicLink(kubelet.resolve("link"), elsewhere);
        fifo(kubelet.resolve("fifo"));
        try (var victim = listen(elsewhere);
                var own = listen(kubelet.resolve("own"))) {
            victim.configureBlocking(false);
            AtomicBoolean ended = new AtomicBoolean();
            Thread.ofVirtual().start(() -> refuseAll(own));
            Thread swapper = Thread.ofPlatform().start(() -> {
                try {
                    while (!ended.get()) {
                        for (String what : List.of("own", "link", "fifo")) {
                            Path source = kubelet.resolve(what);
                            Files.move(source, name, StandardCopyOption.REPLACE_EXISTING);
                            Files.move(name, source, StandardCopyOption.REPLACE_EXISTING);
                        }
                    }
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            });
            try {
                Set<FailureReason> reasons = EnumSet.noneOf(FailureReason.class);
                for (int n = 0; n < TRIES || (reasons.size() < 2 && n < 20 * TRIES); n++) {
                    TorporException e = catchThrowableOfType(
                            TorporException.class, () -> VmMonitor.connect(new PodDirectories(kubelet), POD, LIMITS));
                    reasons.add(e.reason());
                }
                assertThat(reasons)
                        .isSubsetOf(FailureReason.NotQEMU, FailureReason.SocketMissing, FailureReason.QEMUGone)
                        .hasSizeGreaterThan(1);
                assertThat(victim.accept()).as("a connection to somebody else").isNull();
            } finally {
                ended.set(true);
                swapper.join();
            }
        }
    }

    private static void refuseAll(ServerSocketChannel server) {
        try {
            while (true) {
                server.accept().close();
            }
        } catch (IOException e) {
            return; // the test is over
        }
    }

    @Test
    void linksAreNotFollowedToASocket() throws IOException {
        Path elsewhere = kubelet.resolve("elsewhere");
        try (var server = serve(elsewhere, HONEST)) {
            Files.createSymbolicLink(volume.resolve("qmp.sock"), elsewhere);
            refused(POD, FailureReason.NotQEMU, "is not a socket");
            assertThat(server.isOpen()).isTrue();
        }
    }

    @Test
    void linksAreNotFollowedToTheVolume() throws IOException {
        Path other = Files.createDirectories(kubelet.resolve("other"));
        Files.delete(volume);
        Files.createSymbolicLink(volume, other);
        refused(POD, FailureReason.SocketMissing, "volume torpor");
    }

    @Test
    void aSocketThatNobodyServesIsMissing() throws IOException {
        listen(volume.resolve("qmp.sock")).close();
        refused(POD, FailureReason.SocketMissing, "nobody listens");
    }

    @Test
    void whatDoesNotSpeakQmpIsNotQemu() throws IOException {
        try (var _ = serve(volume.resolve("qmp.sock"), "SSH-2.0-OpenSSH_9.9\r\n")) {
            refused(POD, FailureReason.NotQEMU, "");
        }
    }

    @Test
    void aMonitorThatServesAnotherClientStaysSilent() throws IOException {
        try (var _ = serve(volume.resolve("qmp.sock"), "")) {
            refused(POD, IMPATIENT, FailureReason.QMPTimeout, "another client");
        }
    }

    @Test
    void aProcessOutsideThePodIsNotItsQemu() throws IOException {
        try (var _ = serve(volume.resolve("qmp.sock"), HONEST)) {
            refused(POD, FailureReason.NotQEMU, "not in a container of the VM's pod");
        }
    }

    @Test
    void aLongPathToTheSocketIsNoTrouble() throws IOException {
        Path deep = kubelet.resolve("k".repeat(120));
        Path longVolume =
                Files.createDirectories(deep.resolve("pods/" + POD + "/volumes/kubernetes.io~empty-dir/torpor"));
        try (var _ = serve(longVolume.resolve("qmp.sock"), HONEST)) {
            assertThatThrownBy(() -> VmMonitor.connect(new PodDirectories(deep), POD, LIMITS))
                    .hasMessageContaining("not in a container of the VM's pod");
        }
    }

    @Test
    void aProcessIsAliveUntilItsStartOrBootDiffers() throws IOException {
        int pid = (int) ProcessHandle.current().pid();
        long ticks = Proc.startTicks(pid).orElseThrow();
        assertThat(VmMonitor.isAlive(new ProcessIdentity("p", "c", Proc.bootId(), pid, ticks)))
                .isTrue();
        assertThat(VmMonitor.isAlive(new ProcessIdentity("p", "c", Proc.bootId(), pid, ticks + 1)))
                .isFalse();
        assertThat(VmMonitor.isAlive(new ProcessIdentity("p", "c", "another boot", pid, ticks)))
                .isFalse();
    }

    private void refused(String pod, FailureReason reason, String message) {
        refused(pod, LIMITS, reason, message);
    }

    private void refused(String pod, QmpLimits limits, FailureReason reason, String message) {
        assertThatThrownBy(() -> VmMonitor.connect(new PodDirectories(kubelet), pod, limits))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(reason))
                .hasMessageContaining(message);
    }

    private ServerSocketChannel serve(Path path, String text) throws IOException {
        ServerSocketChannel server = listen(path);
        Thread.ofVirtual().start(() -> {
            try (SocketChannel client = server.accept()) {
                client.write(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
                while (client.read(ByteBuffer.allocate(1024)) >= 0) {}
            } catch (IOException e) {
                return; // the test is over
            }
        });
        return server;
    }

    private ServerSocketChannel listen(Path path) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        // Bound by a short name first: the address of a socket holds 107 bytes.
        server.bind(UnixDomainSocketAddress.of(kubelet.resolve("s")));
        Files.move(kubelet.resolve("s"), path);
        return server;
    }
}
