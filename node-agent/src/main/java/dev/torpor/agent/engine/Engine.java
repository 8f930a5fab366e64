package dev.torpor.agent.engine;

/** What writes and reads an image. */
public enum Engine {
    /** QEMU writes its mapped-ram layout by itself ({@link QemuDirectEngine}). */
    QEMU_DIRECT("qemu-direct"),
    /** We are the other end of QEMU's channels ({@link MultifdStreamEngine}). */
    MULTIFD_STREAM("multifd-stream");

    private final String word;

    Engine(String word) {
        this.word = word;
    }

    /** Returns its name in images and in status. */
    public String word() {
        return word;
    }
}
