package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.image.ImageStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The order in which a commit reaches the disk, as the kernel saw it (strace of the committing thread). */
@Tag("qemu")
class DurableCommitIT {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @ParameterizedTest
    @EnumSource(Engine.class)
    void theFileIsFlushedBeforeTheRecordSaysComplete(Engine engine) throws Exception {
        Path trace = temp.resolve("trace");
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                Vm vm = Vm.bare(temp, 64)) {
            Saving saving = Saving.begin(vm, store, SaveOptions.DEFAULT.with(engine));
            SaveReport report = saving.write(new Cancellation(), (_, _) -> {});
            Process strace = attach(trace);
            try {
                saving.commit(report);
            } finally {
                strace.destroy(); // it lets go of the thread, and writes what it has
                strace.onExit().join();
            }

            String uid = saving.id().uid();
            List<String> calls = Files.readAllLines(trace).stream()
                    .filter(line -> line.matches("(pwrite64|fdatasync|fsync|renameat).*"))
                    .toList();
            // Each call with the file it was made on: "fdatasync(44</…/<uid>.img>) = 0".
            assertThat(calls)
                    .as("calls in order")
                    .satisfiesExactly(
                            call -> assertThat(call).startsWith("pwrite64(").contains(uid + ".img>"),
                            call -> assertThat(call)
                                    .startsWith("fdatasync(")
                                    .contains(uid + ".img>")
                                    .endsWith("= 0"),
                            call -> assertThat(call).startsWith("pwrite64(").contains(uid + ".json.new>"),
                            call -> assertThat(call)
                                    .startsWith("fsync(")
                                    .contains(uid + ".json.new>")
                                    .endsWith("= 0"),
                            call -> assertThat(call)
                                    .startsWith("renameat(")
                                    .contains(uid + ".json\"")
                                    .endsWith("= 0"),
                            call -> assertThat(call)
                                    .startsWith("fsync(")
                                    .contains("/web-1>")
                                    .endsWith("= 0"));
        }
    }

    private static Process attach(Path trace) throws Exception {
        Path thread = Path.of("/proc").resolve(Files.readSymbolicLink(Path.of("/proc/thread-self")));
        Process strace = new ProcessBuilder(
                        "strace",
                        "-y",
                        "-e",
                        "trace=pwrite64,fdatasync,fsync,renameat,renameat2",
                        "-o",
                        trace.toString(),
                        "-p",
                        String.valueOf(thread.getFileName()))
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        await().atMost(Duration.ofMinutes(1)).until(() -> Files.readAllLines(thread.resolve("status")).stream()
                .anyMatch(line -> line.matches("TracerPid:\\s+[1-9].*")));
        return strace;
    }
}
