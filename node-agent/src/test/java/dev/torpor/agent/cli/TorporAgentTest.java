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
