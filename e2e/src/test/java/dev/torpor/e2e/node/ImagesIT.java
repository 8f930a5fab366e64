package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.e2e.cluster.ContainerImages;
import dev.torpor.e2e.cluster.UnpackedImage;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.QemuProcess;
import dev.torpor.failure.TorporException;
import io.airlift.compress.zstd.ZstdOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestInstance.Lifecycle;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The images of operator and agent hold what they should and nothing more, and their programs run from them. */
@Tag("node")
@TestInstance(Lifecycle.PER_CLASS)
class ImagesIT {
    private static final int SET_ID_BITS = 06000;
    private static final String LOG_ARCHIVE = "JDK_JAVA_OPTIONS=-Xlog:aot*,class+load:stdout";

    private Path run;
    private Map<String, UnpackedImage> images;

    @BeforeAll
    void unpack(@TempDir Path directory) throws IOException {
        ContainerImages archives = ContainerImages.find();
        run = Files.createDirectory(directory.resolve("run"));
        images = Map.of(
                "operator",
                UnpackedImage.of(archives.archive(ContainerImages.OPERATOR), directory.resolve("operator")),
                "agent",
                UnpackedImage.of(archives.archive(ContainerImages.AGENT), directory.resolve("agent")));
    }

    @Test
    void theOperatorRunsAsNobodyInParticularOnARootThatCannotBeWrittenTo() {
        UnpackedImage operator = image("operator");

        var help = operator.run(run, List.of(), "--help");

        assertThat(operator.user()).isEqualTo("65532:65532");
        assertThat(help.code()).as(help.output()).isZero();
        assertThat(help.output()).startsWith("Usage: ").contains("--namespace");
    }

    @Test
    void theAgentsCommandLineRunsFromItsImage() {
        UnpackedImage agent = image("agent");

        var version = agent.run(run, List.of(), "--version");
        var unknown = agent.run(run, List.of(), "no-such-command");

        assertThat(agent.user()).isEqualTo("0:0");
        assertThat(version.code()).as(version.output()).isZero();
        assertThat(version.output()).startsWith("torpor-agent ").contains("image format");
        assertThat(unknown.code()).as(unknown.output()).isEqualTo(2);
    }

    /** What decompresses it needs of Java what nothing else does. */
    @Test
    void theAgentReadsACompressedFileOfLibvirtsFromItsImage() throws Exception {
        Files.write(run.resolve("web.save"), savedByLibvirt());

        var verified = image("agent").run(run, List.of(), "image", "verify", "/run/web.save");

        assertThat(verified.code()).as(verified.output()).isZero();
        assertThat(verified.output())
                .contains("domain web: the header holds, and the stream of a pc-q35-")
                .contains("its pages match the checksum of the compression");
    }

    /** Returns a small machine that has not run yet, as {@code virsh save --image-format zstd} would write it. */
    private byte[] savedByLibvirt() throws IOException, TorporException {
        Path stream = run.resolve("stream");
        List<String> arguments = new ArrayList<>(GuestImage.machine(16));
        arguments.add("-S");
        String machine;
        try (QemuProcess qemu = QemuProcess.start(run, arguments);
                QmpClient qmp = QmpClient.connect(qemu.socket(), QmpLimits.DEFAULT)) {
            machine = qmp.execute("qom-get", Map.of("path", "/machine", "property", "type"))
                    .asText()
                    .replace("-machine", "");
            qmp.execute("migrate", Map.of("uri", "exec:cat >" + stream));
            await().atMost(Duration.ofMinutes(1))
                    .until(() ->
                            qmp.execute("query-migrate").path("status").asText().equals("completed"));
        }
        String xml = """
                <domain type='qemu'><name>web</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
                <memory unit='MiB'>16</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='%s'>hvm</type></os></domain>
                """.formatted(machine);
        int dataBytes = 1000;
        ByteBuffer head = ByteBuffer.allocate(92 + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        head.put("LibvirtQemudSave".getBytes(StandardCharsets.US_ASCII));
        head.putInt(2).putInt(dataBytes).putInt(0).putInt(5).putInt(0);
        head.put(92, xml.getBytes(StandardCharsets.UTF_8));
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        file.writeBytes(head.array());
        try (OutputStream zstd = new ZstdOutputStream(file)) {
            Files.copy(stream, zstd);
        }
        return file.toByteArray();
    }

    @ParameterizedTest
    @CsvSource({"operator, dev.torpor.operator.OperatorMain", "agent, dev.torpor.agent.cli.TorporAgent"})
    void classesComeFromTheArchiveThatIsInTheImage(String name, String main) {
        var help = image(name).run(run, List.of(LOG_ARCHIVE), "--help");

        assertThat(help.code()).as(help.output()).isZero();
        assertThat(help.output())
                .contains("Opened AOT cache /opt/torpor/torpor-" + name + ".aot")
                .contains("Using AOT-linked classes: true")
                .contains(main + " source: shared objects file")
                .doesNotContain("[error]", "[warning]");
    }

    /** Without, the library of D-Bus would not connect, and no shutdown of a node would wait for its VMs. */
    @Test
    void theAgentHasAnIdentityOfAMachine() {
        assertThat(image("agent").root().resolve("etc/machine-id")).content().matches("[0-9a-f]{32}\\n");
    }

    @ParameterizedTest
    @ValueSource(strings = {"operator", "agent"})
    void theOnlyProgramsAreJavaAndOurs(String name) throws IOException {
        Path root = image(name).root();

        // Files with the execute bit that are no libraries.
        assertThat(filesOf(root).filter(file -> isProgram(file)).map(file -> "/" + root.relativize(file)))
                .containsExactlyInAnyOrder(
                        "/opt/java/bin/java", "/opt/java/lib/jexec", "/opt/java/lib/jspawnhelper", "/usr/bin/start");
        assertThat(Files.readSymbolicLink(root.resolve("usr/bin/torpor-" + name)))
                .isEqualTo(Path.of("start"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"operator", "agent"})
    void noFileGivesRightsOrLetsOthersWrite(String name) throws IOException {
        Path root = image(name).root();

        assertThat(filesOf(root).filter(file -> (mode(file) & SET_ID_BITS) != 0))
                .isEmpty();
        assertThat(filesOf(root).filter(file -> permissions(file).contains(PosixFilePermission.OTHERS_WRITE)))
                .isEmpty();
        assertThat(filesOf(root).filter(file -> !permissions(file).contains(PosixFilePermission.OTHERS_READ)))
                .isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"operator", "agent"})
    void theBillOfMaterialsNamesEveryLibrary(String name) throws IOException {
        Path root = image(name).root();

        JsonNode bill = new ObjectMapper()
                .readTree(root.resolve("usr/share/sbom/torpor-" + name + ".cdx.json")
                        .toFile());

        assertThat(bill.get("bomFormat").asText()).isEqualTo("CycloneDX");
        List<String> named = bill.get("components")
                .valueStream()
                .map(part ->
                        part.get("name").asText() + "-" + part.get("version").asText() + ".jar")
                .toList();
        try (var jars = Files.list(root.resolve("opt/torpor/lib"))) {
            String own = bill.get("metadata").get("component").get("name").asText();
            assertThat(jars.map(jar -> jar.getFileName().toString()).filter(jar -> !jar.startsWith(own)))
                    .isNotEmpty()
                    .isSubsetOf(named);
        }
    }

    private UnpackedImage image(String name) {
        return Objects.requireNonNull(images.get(name), name);
    }

    private static Stream<Path> filesOf(Path root) throws IOException {
        try (var files = Files.walk(root)) {
            return files.filter(Files::isRegularFile).filter(file -> !Files.isSymbolicLink(file)).toList().stream();
        }
    }

    private static boolean isProgram(Path file) {
        return permissions(file).contains(PosixFilePermission.OWNER_EXECUTE)
                && !file.getFileName().toString().contains(".so");
    }

    private static Set<PosixFilePermission> permissions(Path file) {
        try {
            return Files.getPosixFilePermissions(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static int mode(Path file) {
        try {
            return (int) Files.getAttribute(file, "unix:mode");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
