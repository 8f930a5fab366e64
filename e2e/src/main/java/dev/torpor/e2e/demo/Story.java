package dev.torpor.e2e.demo;

import java.util.Locale;

/** Tells what the demo does, while it does it. Used by several threads. */
@SuppressWarnings("SystemOut") // What it is for.
final class Story {
    private final long began = System.nanoTime();

    /** Tells of a step, with the seconds since the beginning. */
    synchronized void step(String text) {
        System.out.printf(Locale.ROOT, "%n[%5.1f s] %s%n", seconds(), text);
    }

    /** Shows a command line before it runs. */
    synchronized void command(String line) {
        System.out.println("$ " + line);
    }

    /** Shows what something printed, indented. */
    synchronized void output(String text) {
        text.stripTrailing().lines().forEach(line -> System.out.println("    " + line));
    }

    /** Returns the seconds since the beginning. */
    double seconds() {
        return (System.nanoTime() - began) / 1e9;
    }
}
