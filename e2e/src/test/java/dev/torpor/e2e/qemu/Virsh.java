package dev.torpor.e2e.qemu;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.torpor.e2e.tree.WorkTree;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** One session of a real libvirt: {@code virsh} with the QEMU driver in its own process, which follows its domains meanwhile. */
final class Virsh implements AutoCloseable {
    private static final String PROMPT = "virsh # ";

    private final Process process;
    private final Writer input;
    private final BufferedReader output;
    private int commands;

    /** Begins; all of libvirt's files are below a folder. */
    Virsh(Path root) throws IOException {
        Files.createDirectories(root.resolve("etc"));
        // As root, as in a container of KubeVirt's; nothing of the machine's cgroups and namespaces is touched.
        Files.writeString(root.resolve("etc/qemu.conf"), """
                user = "root"
                group = "root"
                security_driver = "none"
                namespaces = []
                cgroup_controllers = []
                dynamic_ownership = 0
                remember_owner = 0
                stdio_handler = "file"
                """);
        process = new ProcessBuilder(List.of(WorkTree.run("tools/libvirt.sh"), "-c", "qemu:///embed?root=" + root))
                .redirectErrorStream(true)
                .start();
        input = process.outputWriter(UTF_8);
        output = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
    }

    /** Executes a command and returns what is printed, errors and warnings too. */
    String run(String command) throws IOException {
        String mark = "end-of-" + ++commands;
        input.write(command + "\necho " + mark + "\n");
        input.flush();
        StringBuilder said = new StringBuilder();
        for (String line = output.readLine(); line != null; line = output.readLine()) {
            if (line.equals(mark)) {
                return said.toString().strip();
            }
            if (!line.startsWith(PROMPT)) {
                said.append(line).append('\n');
            }
        }
        throw new IllegalStateException("virsh ended at " + command + ": " + said);
    }

    /** Returns a domain's state, once it is that: libvirt hears of it by an event. */
    String awaitState(String domain, String wanted) throws IOException, InterruptedException {
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        String state = run("domstate " + domain);
        while (!state.equals(wanted) && System.nanoTime() < until) {
            TimeUnit.MILLISECONDS.sleep(50);
            state = run("domstate " + domain);
        }
        return state;
    }

    @Override
    public void close() {
        process.destroy();
        process.onExit().join(); // Until then it may write to the test's folder, which goes with the test.
    }
}
