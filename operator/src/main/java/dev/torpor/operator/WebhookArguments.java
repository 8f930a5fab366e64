package dev.torpor.operator;

import dev.torpor.operator.webhook.WebhookOptions;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;

/** The arguments of the process that speak of its webhook, collected and then judged together. */
final class WebhookArguments {
    private static final String PORT = "--webhook-port";
    private static final String SERVICE = "--webhook-service";
    private static final String CERTIFICATES = "--webhook-cert-dir";
    private static final String LAUNCHER = "--launcher-image";
    private static final String IMAGES = "--image-folder";

    private static final String GATE = "--readiness-gate";
    private static final String EXCLUDED = "--excluded-namespaces";

    static final Set<String> NAMES = Set.of(PORT, SERVICE, CERTIFICATES, LAUNCHER, IMAGES, GATE, EXCLUDED);

    private static final Pattern NAMESPACE = Pattern.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?");
    private static final Pattern SERVICE_NAME = Pattern.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?");
    private static final int PORT_MAX = 65535;

    private final Map<String, String> values = new HashMap<>();

    void set(String name, String value) {
        values.put(name, value);
    }

    /** Returns what was said, if a webhook is wanted. Adds a line for each problem. */
    Optional<WebhookOptions> parse(List<String> problems) {
        int port = port(problems);
        String service = values.getOrDefault(SERVICE, WebhookOptions.DEFAULT_SERVICE);
        if (!SERVICE_NAME.matcher(service).matches()) {
            problems.add("'%s' is not the name of a Service".formatted(service));
        }
        Optional<String> images = filled(IMAGES);
        if (images.isPresent()
                && (!images.get().startsWith("/")
                        || !Path.of(images.get()).normalize().toString().equals(images.get()))) {
            problems.add("%s '%s' is not an absolute path without . and .. and a slash at its end"
                    .formatted(IMAGES, images.get()));
        }
        String gate = values.getOrDefault(GATE, "false");
        if (!gate.equals("true") && !gate.equals("false")) {
            problems.add("%s '%s' is neither true nor false".formatted(GATE, gate));
        }
        Set<String> excluded = filled(EXCLUDED)
                .map(names -> new TreeSet<>(List.of(names.split(",", -1))))
                .orElseGet(TreeSet::new);
        for (String name : excluded) {
            if (!NAMESPACE.matcher(name).matches()) {
                problems.add("%s: '%s' is not the name of a namespace".formatted(EXCLUDED, name));
            }
        }
        if (port == 0) {
            return Optional.empty();
        }
        Optional<String> launcher = filled(LAUNCHER);
        if (launcher.isEmpty()) {
            problems.add("%s is needed with %s".formatted(LAUNCHER, PORT));
            return Optional.empty();
        }
        return Optional.of(new WebhookOptions(
                port,
                service,
                filled(CERTIFICATES).map(Path::of),
                launcher.get(),
                images,
                gate.equals("true"),
                excluded));
    }

    private int port(List<String> problems) {
        String text = values.getOrDefault(PORT, "0");
        try {
            int port = Integer.parseInt(text);
            if (port >= 0 && port <= PORT_MAX) {
                return port;
            }
        } catch (NumberFormatException e) {
            // Said below, as for a number out of range.
        }
        problems.add("%s '%s' is not a port: 0 (no webhook) to %d".formatted(PORT, text, PORT_MAX));
        return 0;
    }

    private Optional<String> filled(String name) {
        return Optional.ofNullable(values.get(name)).filter(value -> !value.isBlank());
    }
}
