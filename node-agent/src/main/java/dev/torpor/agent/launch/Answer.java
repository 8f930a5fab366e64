package dev.torpor.agent.launch;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** What a launcher is told, as lines for its FIFO (the script {@code launch} lists them). */
public sealed interface Answer {
    /** Where QEMU serves its monitor, as seen in the container. */
    String MONITOR = "unix:/run/torpor/qmp.sock,server=on,wait=off";

    /**
     * Become this command.
     *
     * @param argv one char for each byte, as in {@link Ask}
     */
    record Start(List<String> argv) implements Answer {
        public Start {
            argv = List.copyOf(argv);
        }
    }

    /**
     * Show a line in the log, and wait on.
     *
     * @param text for people
     */
    record Say(String text) implements Answer {}

    /** Tells a launcher to run its own command with a monitor for the agent. */
    static Answer boot(Ask ask) {
        return new Start(with(ask.argv(), "-qmp", MONITOR));
    }

    /** The same for a QEMU that is to be fed an image. */
    static Answer resume(Ask ask) {
        return new Start(with(ask.argv(), "-qmp", MONITOR, "-incoming", "defer"));
    }

    /** Returns the bytes for the FIFO. They begin with a line end, which closes an answer that was cut off before. */
    default byte[] encode() {
        StringBuilder text = new StringBuilder("\n");
        switch (this) {
            case Say(String line) -> text.append("say ").append(oneLine(line)).append('\n');
            case Start(List<String> argv) -> {
                text.append("begin\n");
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

    private static List<String> with(List<String> argv, String... more) {
        List<String> all = new ArrayList<>(argv);
        all.addAll(List.of(more));
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
