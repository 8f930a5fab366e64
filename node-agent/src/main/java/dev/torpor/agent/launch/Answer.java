package dev.torpor.agent.launch;

import dev.torpor.agent.image.ImageId;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What a launcher is told, as lines for its FIFO (the script {@code launch} lists them). */
public sealed interface Answer {
    /** Where QEMU serves its monitor, as seen in the container. */
    String MONITOR = "unix:/run/torpor/qmp.sock,server=on,wait=off";

    /** How a QEMU is told to serve a monitor and wait for its image. */
    List<String> INCOMING = List.of("-qmp", MONITOR, "-incoming", "defer");

    /**
     * Become this command.
     *
     * @param argv one char for each byte, as in {@link Ask}
     * @param readAhead what to read in the background meanwhile
     */
    record Start(List<String> argv, Optional<ReadAhead> readAhead) implements Answer {
        public Start {
            argv = List.copyOf(argv);
        }

        /** Makes one with nothing to read ahead. */
        Start(List<String> argv) {
            this(argv, Optional.empty());
        }
    }

    /**
     * A file that is read in the background, for the kernel to have it in memory.
     *
     * @param path of the file, as seen in the container
     * @param plan path of a file with lines {@code SKIP COUNT}, in MiB
     */
    record ReadAhead(String path, String plan) {}

    /**
     * Show a line in the log, and wait on.
     *
     * @param text for people
     */
    record Say(String text) implements Answer {}

    /** To a {@code preStop} hook: nothing more is to be waited for. */
    record Go() implements Answer {}

    /** Tells a launcher to run its own command with a monitor for the agent. */
    static Answer boot(Ask ask) {
        return new Start(with(ask.argv(), List.of("-qmp", MONITOR)));
    }

    /** The same for a QEMU that is to be fed an image. */
    static Answer resume(Ask ask) {
        return new Start(with(ask.argv(), INCOMING));
    }

    /** The same for a QEMU that has mapped its memory from the image. */
    static Answer resume(LazyStart.Possible start, ImageId image) {
        return new Start(
                with(start.argv(), INCOMING),
                Optional.of(new ReadAhead(
                        LazyStart.IMAGES + "/" + image.fileName(), LazyStart.IMAGES + "/" + image.planName())));
    }

    /** Returns the bytes for the FIFO. They begin with a line end, which closes an answer that was cut off before. */
    default byte[] encode() {
        StringBuilder text = new StringBuilder("\n");
        switch (this) {
            case Go _ -> text.append("go\n");
            case Say(String line) -> text.append("say ").append(oneLine(line)).append('\n');
            case Start(List<String> argv, Optional<ReadAhead> readAhead) -> {
                text.append("begin\n");
                readAhead.ifPresent(ahead -> text.append("ahead ")
                        .append(ahead.path())
                        .append(' ')
                        .append(ahead.plan())
                        .append('\n'));
                for (String argument : argv) {
                    text.append("arg ");
                    escape(argument, text);
                    text.append('\n');
                }
                text.append("exec ").append(argv.size()).append('\n');
            }
        }
        return text.toString().getBytes(StandardCharsets.ISO_8859_1);
    }

    private static List<String> with(List<String> argv, List<String> more) {
        List<String> all = new ArrayList<>(argv);
        all.addAll(more);
        return all;
    }

    private static String oneLine(String line) {
        StringBuilder plain = new StringBuilder();
        line.chars().map(c -> c >= ' ' && c <= '~' ? c : ' ').forEach(c -> plain.append((char) c));
        return plain.toString();
    }

    // The %b of printf(1): \0ooo is one byte. Everything but plain graphic characters goes so, the blank too.
    private static void escape(String argument, StringBuilder text) {
        for (int i = 0; i < argument.length(); i++) {
            char c = argument.charAt(i);
            if (c > ' ' && c <= '~' && c != '\\') {
                text.append(c);
            } else {
                text.append("\\0")
                        .append(Integer.toOctalString(01000 | (c & 0xFF)).substring(1));
            }
        }
    }
}
