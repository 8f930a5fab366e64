package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.FolderId;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.QemuVersion;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A command line is taken apart as this QEMU does it: each option that its help lists, with or without a value. */
@Tag("qemu")
class QemuOptionsIT {
    // "-cpu cpu        select CPU", "-S              freeze": a value follows after one blank.
    private static final Pattern LINE = Pattern.compile("--?([A-Za-z0-9_-]+)(?: (\\S).*|\\s{2,}.*|\\t.*)?");
    /** Lines of the help that are made otherwise: two options in one, or more blanks before a value. */
    private static final List<String> ODD = List.of("h", "fda", "hda", "hdc", "dtb", "qmp-pretty");

    private static final String UNKNOWN = "-frobnicate";

    @Test
    void everyOptionOfTheHelpIsKnown() throws IOException {
        Map<String, Boolean> options = help();
        assertThat(options)
                .hasSizeGreaterThan(90)
                .containsEntry("machine", true)
                .containsEntry("S", false);
        options.forEach((name, takesValue) -> {
            List<String> argv = new ArrayList<>(List.of("qemu-system-x86_64", "-" + name));
            if (takesValue) {
                argv.add("-value");
            }
            argv.add(UNKNOWN);
            assertThat(why(argv)).as("with -%s", name).startsWith("QEMU's option " + UNKNOWN);
        });
    }

    private static Map<String, Boolean> help() throws IOException {
        Process process = new ProcessBuilder("qemu-system-x86_64", "-help").start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        Map<String, Boolean> options = new TreeMap<>();
        text.lines().forEach(line -> {
            Matcher option = LINE.matcher(line);
            if (option.matches() && !ODD.contains(option.group(1))) {
                options.put(option.group(1), option.group(2) != null);
            }
        });
        return options;
    }

    private static String why(List<String> argv) {
        FolderId folder = new FolderId(1, 2);
        VmDefinition vm = new VmDefinition("", "pc", 1, "", "", "", List.of(), new TreeMap<>(), 1);
        ImageHeader header = new ImageHeader(
                new ImageId("vms", "vm", "u"), ImageMode.SAVE, vm, "", 1, true, 1, true, Instant.EPOCH, Instant.EPOCH);
        LazyStart start = LazyStart.of(
                new Ask("a", argv, Optional.of(new QemuVersion(10, 0)), Optional.of(folder)),
                new LazyStart.Image(header, new ImageLayout(1, List.of(), 1, 1, 0, 0, 0), folder));
        assertThat(start).isInstanceOf(LazyStart.NotPossible.class);
        return ((LazyStart.NotPossible) start).why();
    }
}
