package dev.torpor.e2e.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.e2e.guest.QemuProcess;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;

/**
 * The command line as a process, against real QEMU. One guest is saved as a checkpoint for all tests, and runs on as the VM
 * that bad input must leave alone.
 */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class CliIT {
    private static final int MEMORY_MIB = 256;
    private static final String INCOMING = "-incoming";
    private static final ObjectMapper JSON = new ObjectMapper();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    static Path temp;

    @SuppressWarnings("NullAway.Init")
    private Path store;

    @SuppressWarnings("NullAway.Init")
    private QemuProcess source;

    @SuppressWarnings("NullAway.Init")
    private Tick saved;

    @SuppressWarnings("NullAway.Init")
    private String checkpoint;

    @BeforeAll
    void saveCheckpoint() throws IOException, InterruptedException {
        store = temp.resolve("store");
        source = QemuProcess.startGuest(temp, MEMORY_MIB, 32);
        saved = source.awaitTick(tick -> tick.number() >= 2);
        AgentCommand.Result result = save(source, "--resume", "--channels", 2, "--direct-io", "off");
        assertThat(result.errors())
                .as("errors of save")
                .endsWith("with 2 channels, through the page cache; the VM runs on");
        assertThat(result.code()).isZero();
        checkpoint = result.output();
        Tick after = source.awaitTick(tick -> tick.number() > saved.number());
        assertThat(after.nonce()).isEqualTo(saved.nonce());
    }

    @AfterAll
    void killSource() {
        source.close();
    }

    private AgentCommand.Result run(Object... arguments) throws IOException, InterruptedException {
        return AgentCommand.run(temp, arguments);
    }

    private AgentCommand.Result save(QemuProcess qemu, Object... more) throws IOException, InterruptedException {
        return vm("save", qemu.socket(), more);
    }

    private AgentCommand.Result restore(QemuProcess qemu, String image, Object... more)
            throws IOException, InterruptedException {
        Object[] all = new Object[more.length + 2];
        all[0] = "--image";
        all[1] = image;
        System.arraycopy(more, 0, all, 2, more.length);
        return vm("restore", qemu.socket(), all);
    }

    private AgentCommand.Result vm(String command, Path socket, Object... more)
            throws IOException, InterruptedException {
        Object[] all = new Object[more.length + 9];
        List<Object> head = List.of(command, "--qmp", socket, "--store", store, "--namespace", "ns", "--vm", "guest");
        for (int i = 0; i < head.size(); i++) {
            all[i] = head.get(i);
        }
        System.arraycopy(more, 0, all, head.size(), more.length);
        return run(all);
    }

    private QemuProcess incoming(int memoryMiB) throws IOException {
        return QemuProcess.startGuest(temp, memoryMiB, 32, INCOMING, "defer");
    }

    private Path file(String uid) {
        return store.resolve("images/ns/guest/" + uid + ".img");
    }

    private static void refused(AgentCommand.Result result, int code, String error) {
        assertThat(result.errors()).isEqualTo("torpor-agent: " + error);
        assertThat(result.code()).isEqualTo(code);
        assertThat(result.output()).isEmpty();
    }

    private static String status(QemuProcess qemu) throws TorporException {
        try (QmpClient qmp = QmpClient.connect(qemu.socket(), QmpLimits.DEFAULT)) {
            return qmp.execute("query-status").path("status").asText();
        }
    }

    @Test
    void savedVmComesBackOnceAndGoesOn() throws IOException, InterruptedException, TorporException {
        String uid;
        Tick before;
        try (QemuProcess vm = QemuProcess.startGuest(temp, MEMORY_MIB, 32)) {
            before = vm.awaitTick(tick -> tick.number() >= 2);
            AgentCommand.Result result = save(vm);
            assertThat(result.errors()).endsWith("; the VM is paused");
            assertThat(result.code()).isZero();
            uid = result.output();
            assertThat(status(vm)).isEqualTo("postmigrate");
        }
        try (QemuProcess vm = incoming(MEMORY_MIB)) {
            AgentCommand.Result result = restore(vm, uid);
            assertThat(result.errors()).endsWith("; the VM runs");
            assertThat(result.code()).isZero();
            Tick after = vm.awaitTick(tick -> tick.number() > before.number() + 1);
            assertThat(after.nonce()).isEqualTo(before.nonce());
            assertThat(after.memoryWrong()).isFalse();
        }
        assertThat(file(uid)).doesNotExist();
        try (QemuProcess vm = incoming(MEMORY_MIB)) {
            refused(
                    restore(vm, uid),
                    3,
                    "ImageMissing: image ns/guest/" + uid + " was consumed: its VM was resumed from it");
        }
    }

    @Test
    void checkpointComesBackAgainAndAgain() throws IOException, InterruptedException, TorporException {
        for (int i = 0; i < 2; i++) {
            try (QemuProcess vm = incoming(MEMORY_MIB)) {
                assertThat(restore(vm, checkpoint, "--paused").errors()).endsWith("; the VM is paused");
                assertThat(status(vm)).isEqualTo("paused");
            }
        }
        try (QemuProcess vm = incoming(MEMORY_MIB)) {
            assertThat(restore(vm, checkpoint).code()).isZero();
            assertThat(vm.awaitTick(tick -> tick.number() > saved.number()).nonce())
                    .isEqualTo(saved.nonce());
        }
    }

    @Test
    void vmThatItsOwnerPausedStaysAndComesBackPaused() throws IOException, InterruptedException, TorporException {
        String uid;
        try (QemuProcess vm = QemuProcess.startGuest(temp, MEMORY_MIB, 0)) {
            vm.awaitTick(tick -> tick.number() >= 1);
            try (QmpClient qmp = QmpClient.connect(vm.socket(), QmpLimits.DEFAULT)) {
                qmp.execute("stop");
            }
            AgentCommand.Result result = save(vm, "--resume");
            assertThat(result.errors()).endsWith("; the VM is paused");
            uid = result.output();
        }
        try (QemuProcess vm = QemuProcess.startGuest(temp, MEMORY_MIB, 0, INCOMING, "defer")) {
            assertThat(restore(vm, uid).errors()).endsWith("; the VM is paused");
            assertThat(status(vm)).isEqualTo("paused");
        }
    }

    @Test
    void inspectShowsTheImageByUidAndByPath() throws IOException, InterruptedException {
        AgentCommand.Result text = run("image", "inspect", checkpoint, "--store", store);
        assertThat(text.code()).isZero();
        assertThat(text.output())
                .contains("Image         " + checkpoint + ", Complete")
                .contains("VM            ns/guest, run 0")
                .contains("Mode          Checkpoint, of a VM that was running")
                .contains("Engine        qemu-direct, 2 channels, through the page cache")
                .contains("  block       pc.ram, 256 MiB, pages at offset 2097152")
                .contains("Checksums     header, stream headers, bitmaps and device state match");
        AgentCommand.Result json = run("image", "inspect", file(checkpoint), "-o", "json");
        assertThat(json.code()).isZero();
        JsonNode root = JSON.readTree(json.output());
        assertThat(root.at("/definition/memoryBytes").asLong()).isEqualTo((long) MEMORY_MIB << 20);
        assertThat(root.at("/save/channels").asInt()).isEqualTo(2);
        assertThat(root.at("/layout/sizeBytes").asLong()).isEqualTo(Files.size(file(checkpoint)));
        assertThat(root.path("formatVersion").asInt()).isEqualTo(1);
    }

    @Test
    void verifyReadsEveryPage() throws IOException, InterruptedException {
        AgentCommand.Result result = run("image", "verify", checkpoint, "--store", store);
        assertThat(result.output())
                .as(result.errors())
                .matches("image ns/guest/" + checkpoint + ": header, stream headers, bitmaps and device state match "
                        + "their checksums; all \\d+ pages \\(.+ MiB\\) can be read, and have no checksums");
        assertThat(result.code()).isZero();
    }

    /** As docs/image-format.md says that anybody can without Torpor. */
    @Test
    void imageLoadsInStockQemuByHand() throws IOException, TorporException {
        try (QemuProcess vm = incoming(MEMORY_MIB);
                QmpClient qmp = QmpClient.connect(vm.socket(), QmpLimits.DEFAULT)) {
            qmp.execute(
                    "migrate-set-capabilities",
                    Map.of("capabilities", List.of(Map.of("capability", "mapped-ram", "state", true))));
            qmp.execute("migrate-incoming", Map.of("uri", "file:" + file(checkpoint) + ",offset=1052672"));
            Awaitility.await()
                    .atMost(Duration.ofMinutes(1))
                    .until(() ->
                            qmp.execute("query-migrate").path("status").asText().equals("completed"));
            qmp.execute("cont");
            assertThat(vm.awaitTick(tick -> tick.number() > saved.number()).nonce())
                    .isEqualTo(saved.nonce());
        }
    }

    @Test
    void socketThatNobodyServesIsTold() throws IOException, InterruptedException {
        refused(vm("save", temp.resolve("no.sock")), 1, "SocketMissing: nobody listens on the QMP socket");
    }

    @Test
    void socketThatIsNotQemuIsTold() throws IOException, InterruptedException {
        Path socket = temp.resolve("other.sock");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            Thread.ofVirtual().start(() -> {
                try (SocketChannel client = server.accept()) {
                    client.write(ByteBuffer.wrap("{\"hello\": \"I am a web server\"}\r\n".getBytes(UTF_8)));
                    client.read(ByteBuffer.allocate(1)); // until it hangs up
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            refused(
                    vm("save", socket),
                    1,
                    "NotQEMU: what answers on the socket does not speak QMP: it sent no QMP greeting");
        }
    }

    @Test
    void channelsOutOfRangeTouchNothing() throws IOException, InterruptedException {
        long images = images();
        refused(
                save(source, "--channels", 256),
                1,
                "ChannelsOutOfRange: 256 channels were asked for: give a number from 1 to 255");
        Tick now = source.lastTick().orElseThrow();
        assertThat(source.awaitTick(tick -> tick.number() > now.number()).nonce())
                .isEqualTo(saved.nonce());
        assertThat(images()).isEqualTo(images);
    }

    private long images() throws IOException {
        try (var files = Files.list(store.resolve("images/ns/guest"))) {
            return files.count();
        }
    }

    @Test
    void badImagesAreRefusedBeforeQemuIsFed() throws IOException, InterruptedException, TorporException {
        try (QemuProcess vm = incoming(MEMORY_MIB)) {
            refused(restore(vm, "nothing"), 3, "ImageMissing: there is no image ns/guest/nothing in this store");
            Path file = file(checkpoint);
            long size = Files.size(file);
            byte[] header = read(file, 100, 1);
            write(file, 100, new byte[] {(byte) ~header[0]});
            AgentCommand.Result damaged = restore(vm, checkpoint);
            write(file, 100, header);
            assertThat(damaged.errors())
                    .matches("torpor-agent: ImageDamaged: the image's header is damaged: its checksum is [0-9a-f]{8}, "
                            + "and it says that it is [0-9a-f]{8}");
            assertThat(damaged.code()).isEqualTo(3);

            byte[] end = read(file, size - 100_000, 100_000);
            try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                channel.truncate(size - 100_000);
            }
            AgentCommand.Result truncated = restore(vm, checkpoint);
            write(file, size - 100_000, end);
            refused(
                    truncated,
                    3,
                    "ImageTruncated: the image has " + (size - 100_000) + " bytes; " + size + " were committed");

            assertThat(status(vm)).isEqualTo("inmigrate");
            assertThat(restore(vm, checkpoint).code()).isZero();
        }
    }

    @Test
    void targetThatDiffersIsToldAndNotFed() throws IOException, InterruptedException, TorporException {
        for (int memory : new int[] {MEMORY_MIB / 2, MEMORY_MIB * 2}) {
            try (QemuProcess vm = incoming(memory)) {
                refused(
                        restore(vm, checkpoint),
                        1,
                        "MemorySizeMismatch: RAM block pc.ram has 268435456 bytes in the image and "
                                + ((long) memory << 20)
                                + " in the target: give the same memory size and backends");
                assertThat(status(vm)).isEqualTo("inmigrate");
            }
        }
        AgentCommand.Result running = restore(source, checkpoint);
        refused(
                running,
                1,
                "NotIncoming: the target QEMU is in state running: start it with -incoming defer; one that was fed "
                        + "before needs a new process");
    }

    private static byte[] read(Path file, long offset, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            int n = 0;
            while (n >= 0 && bytes.hasRemaining()) {
                n = channel.read(bytes, offset + bytes.position());
            }
        }
        return bytes.array();
    }

    private static void write(Path file, long offset, byte[] bytes) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(bytes), offset);
        }
    }
}
