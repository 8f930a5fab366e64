package dev.torpor.e2e.cluster;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Writes kubeconfig files.
 *
 * @param server URL of the API server
 * @param authority file with the certificate that signed the server's
 */
record Kubeconfig(String server, Path authority) {

    /** Writes a file for a bearer token, 0600. */
    Path write(Path file, String token) {
        return write(file, token, "");
    }

    /** Writes a file for a bearer token whose user acts as somebody else in these groups, 0600. */
    Path writeImpersonating(Path file, String token, String user, List<String> groups) {
        String lines = "\n    as: \"" + user + "\"";
        if (!groups.isEmpty()) {
            lines += "\n    as-groups: ["
                    + groups.stream().map(group -> '"' + group + '"').collect(Collectors.joining(", ")) + "]";
        }
        return write(file, token, lines);
    }

    private Path write(Path file, String token, String impersonation) {
        String text = """
                apiVersion: v1
                kind: Config
                current-context: torpor
                contexts:
                - name: torpor
                  context: {cluster: torpor, user: torpor}
                clusters:
                - name: torpor
                  cluster:
                    server: %s
                    certificate-authority: %s
                users:
                - name: torpor
                  user:
                    token: %s%s
                """.formatted(server, authority, token, impersonation);
        try {
            Files.deleteIfExists(file);
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            return Files.writeString(file, text, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
