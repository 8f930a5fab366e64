package dev.torpor.agent.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.failure.TorporException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.ResourceLock;
import org.junit.jupiter.api.parallel.Resources;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@ResourceLock(Resources.SYSTEM_ERR)
class TorporAgentTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final ByteArrayOutputStream errors = new ByteArrayOutputStream();
    private final PrintStream before = System.err;

    @BeforeEach
    void captureErrors() {
        System.setErr(new PrintStream(errors, true, UTF_8));
    }

    @AfterEach
    void restoreErrors() {
        System.setErr(before);
    }

    private String error() {
        return errors.toString(UTF_8).strip();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '@',
            quoteCharacter = '"',
            value = {
                "@a command is missing; see torpor-agent --help",
                "image@a command is missing; see torpor-agent image --help",
                "doze@Unmatched argument at index 0: 'doze'; see torpor-agent --help",
                "save@Missing required options: '--qmp=SOCKET', '--store=DIR', '--namespace=NS', '--vm=NAME'; "
                        + "see torpor-agent save --help",
                "run@Missing required options: '--node=NAME', '--store=DIR'; see torpor-agent run --help",
                "run --node n --store STORE --http-port 65536@65536 is not a port: give 1 to 65535, or 0 for none; "
                        + "see torpor-agent run --help",
                "image inspect@Missing required parameter: 'PATH|UID'; see torpor-agent image inspect --help",
                "image inspect x -o xml@Invalid value for option '--output': expected one of [TEXT, JSON] "
                        + "(case-insensitive) but was 'xml'; see torpor-agent image inspect --help",
                "image import@Missing required parameter: 'PATH'; see torpor-agent image import --help",
                "image import f@Missing required options: '--store=DIR', '--namespace=NS', '--vm=NAME'; see torpor-agent "
                        + "image import --help",
                "image import f --store STORE --namespace a/b --vm v@namespace 'a/b' is not 1 to 63 letters, "
                        + "digits or inner '-', '_', '.'; see torpor-agent image import --help",
                "image import f g --store STORE --namespace a --vm v@Unmatched argument at index 3: 'g'; see torpor-agent "
                        + "image import --help",
                "restore --qmp q --store STORE --namespace a/b --vm v --image u@namespace 'a/b' is not 1 to 63 letters, "
                        + "digits or inner '-', '_', '.'; see torpor-agent restore --help",
            })
    void wrongCommandLineIsOneLine(@Nullable String line, String message) {
        String[] arguments = line == null
                ? new String[0]
                : line.replace("STORE", temp.toString()).split(" ", -1);
        assertThat(TorporAgent.run(arguments)).isEqualTo(2);
        assertThat(error()).isEqualTo("torpor-agent: Usage: " + message);
    }

    @Test
    void missingImageIsTheImagesFault() throws TorporException {
        ImageStore.open(temp.resolve("store")).close();
        int code = TorporAgent.run(
                "image", "inspect", "abc", "--store", temp.resolve("store").toString());
        assertThat(code).isEqualTo(3);
        assertThat(error()).isEqualTo("torpor-agent: ImageMissing: there is no image with the UID abc in this store");
    }

    @Test
    void fileThatIsNoImageIsTold() throws IOException {
        Path file = Files.writeString(temp.resolve("letter.txt"), "Dear reader, ".repeat(100));
        assertThat(TorporAgent.run("image", "verify", file.toString())).isEqualTo(3);
        assertThat(error())
                .isEqualTo(
                        "torpor-agent: ImageDamaged: the image's header is damaged: it does not begin with the magic "
                                + "of a Torpor image");
    }

    private int load(Path file) {
        return TorporAgent.run(
                "image", "import", file.toString(), "--store", temp.toString(), "--namespace", "ns", "--vm", "vm");
    }

    @Test
    void whatIsNotAFileOfLibvirtsIsNotImported() throws IOException, TorporException {
        assertThat(load(temp.resolve("f"))).isEqualTo(1);
        assertThat(error()).startsWith("torpor-agent: StoreFailed: ");
        ImageStore.open(temp).close();
        Path letter = Files.writeString(temp.resolve("letter.txt"), "Dear reader, ".repeat(100));
        Map<Path, String> wrong = Map.of(
                temp.resolve("f"),
                "ImageMissing: the image's file is missing",
                temp.resolve("images"),
                "ImageMissing: " + temp.resolve("images") + " is not a file, or a link, which is not followed",
                Files.createSymbolicLink(temp.resolve("link"), letter),
                "ImageMissing: " + temp.resolve("link") + " is not a file, or a link, which is not followed",
                letter,
                "ImageDamaged: the file does not begin as one that virsh save wrote");
        Files.createDirectories(temp.resolve("images"));
        for (Map.Entry<Path, String> each : wrong.entrySet()) {
            errors.reset();
            assertThat(load(each.getKey())).as(each.getValue()).isEqualTo(3);
            assertThat(error()).isEqualTo("torpor-agent: " + each.getValue());
        }
        try (ImageStore store = ImageStore.open(temp)) {
            assertThat(store.list()).isEmpty();
        }
    }

    @Test
    void storeThatIsOwnedIsTold() throws TorporException {
        try (ImageStore _ = ImageStore.open(temp)) {
            int code = TorporAgent.run(
                    "save", "--qmp", "q", "--store", temp.toString(), "--namespace", "ns", "--vm", "vm");
            assertThat(code).isEqualTo(1);
        }
        assertThat(error())
                .isEqualTo(
                        "torpor-agent: StoreFailed: the image store belongs to another process, an agent for example: "
                                + "stop it, or use another store");
    }
}
