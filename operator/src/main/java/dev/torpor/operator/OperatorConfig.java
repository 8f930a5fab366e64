package dev.torpor.operator;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.telemetry.log.LogSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * What the operator's process was told, parsed once at the start.
 *
 * @param namespace of the agents' leases and of the operator's own
 * @param leaderElection whether to work only while holding the operator's lease; off is for a single process in tests
 * @param identity of this process in the lease
 * @param httpPort where health and metrics are served; 0 for nowhere
 * @param logs how it logs
 */
record OperatorConfig(String namespace, boolean leaderElection, String identity, int httpPort, LogSettings logs) {
    static final String USAGE = """
            Usage: operator [--namespace NAME] [--no-leader-election] [--identity NAME] [--http-port N]
              --namespace NAME       namespace of the leases; else TORPOR_NAMESPACE, else %s
              --no-leader-election   work at once, without a lease; for a single process only
              --identity NAME        name of this process in the lease; else HOSTNAME and the process id
              --http-port N          port for /livez, /readyz and /metrics; else TORPOR_HTTP_PORT, else 0, none
            operator prepare-uninstall [--force]: remove the webhooks, unless VMs wait in images.
            The cluster is the one of KUBECONFIG, or the one that the process runs in. Logs: TORPOR_LOG_FORMAT
            (text, json), TORPOR_LOG_LEVEL (error, warn, info, debug).""".formatted(Torpor.SYSTEM_NAMESPACE);

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
                default -> problems.add("unknown argument " + argument);
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
        if (!problems.isEmpty()) {
            throw new BadConfigException(problems);
        }
        return new OperatorConfig(namespace, leaderElection, identity, port, logs);
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
