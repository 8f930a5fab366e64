package dev.torpor.operator.webhook;

import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;

/**
 * What the webhook was told at the start of the process.
 *
 * @param port where to listen
 * @param service name of the Service that API servers call, in the operator's namespace
 * @param certificates folder with tls.crt and tls.key, if somebody else makes them
 * @param launcherImage image of the init container that VM pods get
 * @param imageFolder folder of the agents' image stores on their nodes, if VM pods get their own part of it
 * @param readinessGate whether VM pods get the readiness gate that agents answer
 * @param excludedNamespaces namespaces of which the API server brings nothing here
 */
public record WebhookOptions(
        int port,
        String service,
        Optional<Path> certificates,
        String launcherImage,
        Optional<String> imageFolder,
        boolean readinessGate,
        Set<String> excludedNamespaces) {
    /** Name of the Service as the chart makes it. */
    public static final String DEFAULT_SERVICE = "torpor-webhook";

    public WebhookOptions {
        excludedNamespaces = Set.copyOf(excludedNamespaces);
    }

    /** Returns whether what happens to the pods of a namespace is brought to the webhook. */
    public boolean looksAt(String namespace) {
        return !excludedNamespaces.contains(namespace);
    }
}
