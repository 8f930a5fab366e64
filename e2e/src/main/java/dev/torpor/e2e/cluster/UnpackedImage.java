package dev.torpor.e2e.cluster;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.StreamSupport;

/**
 * A container image as a folder, whose program can be run as a container's would be, without a container runtime: in a
 * mount namespace of its own, with the image as a root that cannot be written to, {@code /proc}, and a folder of the
 * machine's at {@code /run}. User, environment and entrypoint are those of the image. Needs root.
 */
public final class UnpackedImage {
    /** $1 root, $2 folder for /run, $3 user and group, then the environment, --, and the command. */
    private static final String ENTER = """
            set -e
            root=$1 run=$2 user=$3
            shift 3
            mount --bind "$root" "$root"
            mount --rbind /proc "$root/proc"
            mount --bind "$run" "$root/run"
            mount -o remount,bind,ro "$root"
            variables=()
            while [ "$1" != -- ]; do variables+=("$1"); shift; done
            shift
            exec /usr/bin/env -i "${variables[@]}" /usr/sbin/chroot --userspec="$user" "$root" "$@"
            """;

    private final Path root;
    private final JsonNode config;

    private UnpackedImage(Path root, JsonNode config) {
        this.root = root;
        this.config = config;
    }

    /**
     * Unpacks an archive's layers.
     *
     * @param archive docker-archive of one image
     * @param directory new or empty folder, which the caller deletes
     */
    public static UnpackedImage of(Path archive, Path directory) {
        try {
            Path parts = Files.createDirectories(directory.resolve("archive"));
            Path root = Files.createDirectories(directory.resolve("root"));
            Command.run("tar", "-C", parts.toString(), "-xf", archive.toString());
            ObjectMapper json = new ObjectMapper();
            JsonNode manifest =
                    json.readTree(parts.resolve("manifest.json").toFile()).get(0);
            for (JsonNode layer : manifest.get("Layers")) {
                Command.run(
                        "tar",
                        "-C",
                        root.toString(),
                        "-xpf",
                        parts.resolve(layer.asText()).toString());
            }
            JsonNode image =
                    json.readTree(parts.resolve(manifest.get("Config").asText()).toFile());
            return new UnpackedImage(root, image.get("config"));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot unpack " + archive, e);
        }
    }

    /** Returns the folder that holds the image's files. */
    public Path root() {
        return root;
    }

    /** Returns the user and group that the image names, as numbers with a colon between. */
    public String user() {
        return config.get("User").asText();
    }

    /**
     * Returns the command that runs the image's entrypoint.
     *
     * @param run folder of the machine that the program finds at {@code /run}
     * @param variables {@code NAME=value}, on top of the image's
     * @param arguments those of the entrypoint
     */
    public List<String> command(Path run, List<String> variables, String... arguments) {
        List<String> command = new ArrayList<>(
                List.of("unshare", "--mount", "--propagation", "private", "bash", "-c", ENTER, "enter"));
        command.addAll(List.of(root.toString(), run.toString(), user()));
        command.addAll(texts("Env"));
        command.addAll(variables);
        command.add("--");
        command.addAll(texts("Entrypoint"));
        command.addAll(List.of(arguments));
        return command;
    }

    /** Runs the entrypoint until it ends; see {@link #command}. */
    public Kubectl.Result run(Path run, List<String> variables, String... arguments) {
        return Command.tryRun(command(run, variables, arguments).toArray(String[]::new));
    }

    private List<String> texts(String field) {
        return StreamSupport.stream(config.get(field).spliterator(), false)
                .map(JsonNode::asText)
                .toList();
    }
}
