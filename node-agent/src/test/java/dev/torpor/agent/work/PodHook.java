package dev.torpor.agent.work;

import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.node.PodDirectories;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/** A pod's {@code preStop} hook that asks, in the kubelet's folder layout. */
final class PodHook implements AutoCloseable {
    private final PodDirectories pods;
    private final String podUID;
    private final String askID;
    private final FileChannel answers;

    private PodHook(PodDirectories pods, String podUID, String askID, FileChannel answers) {
        this.pods = pods;
        this.podUID = podUID;
        this.askID = askID;
        this.answers = answers;
    }

    /** Asks. */
    static PodHook ask(Path kubeletRoot, String podUID, String askID) throws Exception {
        Path volume = Files.createDirectories(
                kubeletRoot.resolve("pods/" + podUID + "/volumes/kubernetes.io~empty-dir/torpor"));
        Path fifo = volume.resolve("answer." + askID);
        if (new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor() != 0) {
            throw new IOException("no FIFO " + fifo);
        }
        FileChannel answers = FileChannel.open(fifo, StandardOpenOption.READ, StandardOpenOption.WRITE);
        Files.writeString(volume.resolve("ask." + askID), "version 1\nid " + askID + "\nkind stop\n");
        return new PodHook(new PodDirectories(kubeletRoot), podUID, askID, answers);
    }

    /** What is done with an ask. */
    interface Answerer {
        boolean answer(AskDirectory asks, String askID) throws Exception;
    }

    /** Has it answered. */
    boolean answered(Answerer by) throws Exception {
        try (Directory volume = pods.volume(podUID)) {
            return by.answer(new AskDirectory(volume), askID);
        }
    }

    /** Returns what it was told since the last call. */
    String heard() throws IOException {
        ByteBuffer told = ByteBuffer.allocate(4096);
        var _ = answers.write(ByteBuffer.wrap("\n".getBytes(StandardCharsets.UTF_8))); // so that the read ends
        var _ = answers.read(told);
        return new String(told.array(), 0, told.position(), StandardCharsets.UTF_8);
    }

    @Override
    public void close() throws IOException {
        answers.close();
    }
}
