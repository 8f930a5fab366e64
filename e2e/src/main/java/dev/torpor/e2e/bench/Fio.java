package dev.torpor.e2e.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** What the disk can do: fio with O_DIRECT, the same size, as many jobs as there are channels. */
final class Fio {
    private Fio() {}

    /** Returns seconds for writing the file, flush included. */
    static double write(Path directory, int jobs, long bytes) throws IOException {
        return seconds("write", directory, jobs, bytes);
    }

    /** Returns seconds for reading the file that {@link #write} made. */
    static double read(Path directory, int jobs, long bytes) throws IOException {
        return seconds("read", directory, jobs, bytes);
    }

    private static double seconds(String direction, Path directory, int jobs, long bytes) throws IOException {
        Process fio = new ProcessBuilder(List.of(
                        "fio",
                        "--name=limit",
                        "--filename=" + directory.resolve("fio.img"),
                        "--rw=" + direction,
                        "--bs=1M",
                        "--direct=1",
                        "--ioengine=psync",
                        "--numjobs=" + jobs,
                        "--size=" + bytes / jobs,
                        "--offset_increment=" + bytes / jobs,
                        "--end_fsync=1",
                        "--group_reporting",
                        "--output-format=json"))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        JsonNode job =
                new ObjectMapper().readTree(fio.getInputStream()).path("jobs").path(0);
        return job.path("job_runtime").asDouble() / jobs / 1000;
    }
}
