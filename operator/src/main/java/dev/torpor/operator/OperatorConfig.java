package dev.torpor.operator;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.webhook.WebhookOptions;
import dev.torpor.telemetry.log.LogSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * What the operator's process was told, parsed once at the start.
 *
 * @param namespace of the agents' leases and of the operator's own
 * @param leaderElection whether to work only while holding the operator's lease; off is for a single process in tests
 * @param identity of this process in the lease
 * @param httpPort where health and metrics are served; 0 for nowhere
 * @param logs how it logs
 * @param webhook what its webhook was told; empty if it serves none
 */
record OperatorConfig(
        String namespace,
        boolean leaderElection,
        String identity,
        int httpPort,
        LogSettings logs,
        Optional<WebhookOptions> webhook) {
    static final String USAGE = """
            Usage: operator [--namespace NAME] [--no-leader-election] [--identity NAME] [--http-port N]
                            [--webhook-port N --launcher-image IMAGE ...]
              --namespace NAME       namespace of the leases; else TORPOR_NAMESPACE, else %s
              --no-leader-election   work at once, without a lease; for a single process only
              --identity NAME        name of this process in the lease; else HOSTNAME and the process id
              --http-port N          port for /livez, /readyz and /metrics; else TORPOR_HTTP_PORT, else 0, none
              --webhook-port N       port of the admission webhook; 0, the default, serves none
              --webhook-service NAME Service that API servers call, in the operator's namespace; %s by default
              --webhook-cert-dir DIR folder with tls.crt and tls.key, if somebody else makes them
              --launcher-image IMAGE image of the init container that VM pods get; needed with a webhook
              --image-folder DIR     folder of the images in the agents' stores (STORE/images); VM pods get their own part
                                     of it to read where their namespace allows that. None by default
              --readiness-gate BOOL  whether VM pods are ready only while their guest runs; the nodes' agents must be
                                     allowed to say so (pods/status). False by default
              --excluded-namespaces NAME,...
                                     namespaces that the webhook's configuration leaves out: no PodDisruptionBudget is kept
                                     there. None by default
            operator prepare-uninstall [--force]: remove the webhooks, unless VMs wait in images.
            The cluster is the one of KUBECONFIG, or the one that the process runs in. Logs: TORPOR_LOG_FORMAT
            (text, json), TORPOR_LOG_LEVEL (error, warn, info, debug).""".formatted(Torpor.SYSTEM_NAMESPACE, WebhookOptions.DEFAULT_SERVICE);

    private static final int PORT_MAX = 65_535;
    private static final Pattern NAME = Pattern.compile("[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?");

    /** The configuration is not usable; the message has one line for each problem. */
    static final class BadConfigException extends Exception {
        private static final long serialVersionUID = 1L;

        BadConfigException(List<String> problems) {
            super(String.join(System.lineSeparator(), problems));
        }
    }

    /** Parses arguments and environment. All problems are reported together. */
    static OperatorConfig parse(List<String> arguments, Map<String, String> environment, long pid)
            throws BadConfigException {
        List<String> problems = new ArrayList<>();
        String namespace = environment.getOrDefault("TORPOR_NAMESPACE", Torpor.SYSTEM_NAMESPACE);
        String identity = environment.getOrDefault("HOSTNAME", "operator") + "-" + pid;
        String httpPort = environment.getOrDefault("TORPOR_HTTP_PORT", "0");
        boolean leaderElection = true;
        var webhook = new WebhookArguments();
        for (int i = 0; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            switch (argument) {
                case "--no-leader-election" -> leaderElection = false;
                case "--namespace", "--identity", "--http-port" -> {
                    if (++i == arguments.size()) {
                        problems.add(argument + " lacks its value");
                    } else if ("--namespace".equals(argument)) {
                        namespace = arguments.get(i);
                    } else if ("--http-port".equals(argument)) {
                        httpPort = arguments.get(i);
                    } else {
                        identity = arguments.get(i);
                    }
                }
                default -> {
                    if (!WebhookArguments.NAMES.contains(argument)) {
                        problems.add("unknown argument " + argument);
                    } else if (++i == arguments.size()) {
                        problems.add(argument + " lacks its value");
                    } else {
                        webhook.set(argument, arguments.get(i));
                    }
                }
            }
        }
        if (!NAME.matcher(namespace).matches()) {
            problems.add("'%s' is not the name of a namespace".formatted(namespace));
        }
        if (identity.isBlank()) {
            problems.add("the identity is empty");
        }
        int port = port(httpPort, problems);
        LogSettings logs = LogSettings.parse(environment, problems::add);
        Optional<WebhookOptions> options = webhook.parse(problems);
        if (!problems.isEmpty()) {
            throw new BadConfigException(problems);
        }
        return new OperatorConfig(namespace, leaderElection, identity, port, logs, options);
    }

    private static int port(String text, List<String> problems) {
        try {
            int port = Integer.parseInt(text);
            if (port >= 0 && port <= PORT_MAX) {
                return port;
            }
        } catch (NumberFormatException e) {
            // said below
        }
        problems.add("'%s' is not a port: give 1 to %d, or 0 for none".formatted(text, PORT_MAX));
        return 0;
    }
}
