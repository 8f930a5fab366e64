package dev.torpor.e2e.bench;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Child;
import dev.torpor.e2e.cluster.ContainerImages;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.UnpackedImage;
import dev.torpor.e2e.cluster.Workspace;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * How quickly operator and agent start from their images, and what memory they hold at rest: on a real API server, as
 * processes in the image's root, with the image's archive of classes and without it in turn. Prints one line for each run
 * and asserts nothing.
 *
 * <p>Settings from the environment: TORPOR_BENCH_ROUNDS (3), TORPOR_BENCH_REST_SECONDS (20; from "at work" to the look
 * at the memory). Needs root.
 */
public final class ImageBench {
    private static final Duration START_TIMEOUT = Duration.ofMinutes(2);

    /**
     * A program of ours.
     *
     * @param ready what it logs once it is at work
     */
    private record Program(String name, String image, String ready, List<String> arguments) {}

    private static final List<Program> PROGRAMS = List.of(
            new Program("operator", ContainerImages.OPERATOR, " leads", List.of()),
            new Program(
                    "agent",
                    ContainerImages.AGENT,
                    " serves",
                    List.of("run", "--node", "bench", "--store", "/run/store", "--kubelet-root", "/run/kubelet")));

    private ImageBench() {}

    /** Runs all and prints a table in Markdown. */
    public static void main(String[] arguments) throws IOException, InterruptedException {
        int rounds = Integer.parseInt(System.getenv().getOrDefault("TORPOR_BENCH_ROUNDS", "3"));
        long restSeconds = Long.parseLong(System.getenv().getOrDefault("TORPOR_BENCH_REST_SECONDS", "20"));
        ContainerImages images = ContainerImages.find();
        System.out.println("| program | image MB | archive of classes | start s | anonymous MiB | resident MiB |");
        System.out.println("|---|---|---|---|---|---|");
        try (ControlPlane cluster = ControlPlane.start(ControlPlane.Options.API_ONLY);
                Workspace workspace = Workspace.create("image-bench")) {
            cluster.applyCrds();
            cluster.kubectl("create", "namespace", "torpor-system");
            Path run = Files.createDirectory(workspace.file("run"));
            Files.createDirectories(run.resolve("kubelet/pods"));
            bringKubeconfig(cluster.kubeconfig(), run);
            for (Program program : PROGRAMS) {
                Path archive = images.archive(program.image());
                UnpackedImage image = UnpackedImage.of(archive, workspace.file(program.name()));
                for (int round = 0; round < rounds; round++) {
                    for (boolean withArchive : List.of(true, false)) {
                        List<String> variables = new ArrayList<>(List.of("KUBECONFIG=/run/kubeconfig"));
                        if (!withArchive) {
                            variables.add("JDK_JAVA_OPTIONS=-XX:AOTMode=off");
                        }
                        String name = program.name() + "-" + round + (withArchive ? "-with" : "-without");
                        measure(
                                workspace,
                                name,
                                image.command(
                                        run, variables, program.arguments().toArray(String[]::new)),
                                program,
                                Files.size(archive),
                                withArchive,
                                restSeconds);
                    }
                }
            }
        }
    }

    // The programs see nothing of the machine but their image and this folder, which is /run to them.
    private static void bringKubeconfig(Path file, Path run) throws IOException {
        String kubeconfig = Files.readString(file);
        String authority = kubeconfig
                .lines()
                .filter(line -> line.contains("certificate-authority:"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip())
                .findFirst()
                .orElseThrow();
        Files.copy(Path.of(authority), run.resolve("ca.crt"));
        // Readable for the operator, which is nobody in particular.
        Files.writeString(run.resolve("kubeconfig"), kubeconfig.replace(authority, "/run/ca.crt"));
    }

    private static void measure(
            Workspace workspace,
            String name,
            List<String> command,
            Program program,
            long imageBytes,
            boolean withArchive,
            long restSeconds)
            throws IOException, InterruptedException {
        long began = System.nanoTime();
        Path log = workspace.file("logs/" + name + ".log");
        try (Child child = Child.start(name, log, Map.of(), command)) {
            await(name)
                    .atMost(START_TIMEOUT)
                    .pollInterval(Duration.ofMillis(10))
                    .until(() -> {
                        child.requireAlive();
                        return Files.readString(log).contains(program.ready());
                    });
            double startSeconds = (System.nanoTime() - began) / 1e9;
            Thread.sleep(Duration.ofSeconds(restSeconds));
            // Everything before the program is replaced by it (exec), so the child is the JVM.
            String status = Files.readString(Path.of("/proc/" + child.process().pid() + "/status"));
            System.out.println(String.format(
                    Locale.ROOT,
                    "| %s | %d | %s | %.2f | %d | %d |",
                    program.name(),
                    imageBytes / 1_000_000,
                    withArchive ? "yes" : "no",
                    startSeconds,
                    mebibytes(status, "RssAnon:"),
                    mebibytes(status, "VmRSS:")));
        }
    }

    private static long mebibytes(String status, String field) {
        String line =
                status.lines().filter(l -> l.startsWith(field)).findFirst().orElseThrow();
        return Long.parseLong(line.replaceAll("\\D", "")) / 1024;
    }
}
