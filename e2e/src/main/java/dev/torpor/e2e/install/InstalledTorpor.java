package dev.torpor.e2e.install;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Helm;
import dev.torpor.e2e.cluster.Kubectl;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The chart of this work tree, installed in a cluster with the images that {@code tools/images.sh} packs. The nodes must
 * have those images already.
 */
public final class InstalledTorpor {
    /** Namespace that it is installed in. */
    public static final String NAMESPACE = "torpor-system";

    private static final String RELEASE = "torpor";
    private static final Duration PATIENCE = Duration.ofMinutes(2);
    private static final Pattern REVISION = Pattern.compile("\"version\":(\\d+)");
    private static final String LEASE = "torpor-operator";
    private static final String TAG = "local";
    /** The kubelet refuses a pod that was bound just before its node was tainted: it never runs, has no logs, and is left lying. */
    private static final String NOT_FAILED = "--field-selector=status.phase!=Failed";

    private final Kubectl kubectl;
    private final Helm helm;
    private final Path kubeletRoot;
    private final Path store;
    private final Set<String> forgotten = new HashSet<>();

    /**
     * Names an installation, which need not be there yet.
     *
     * @param kubeconfig of a user who may do everything
     * @param kubeletRoot folder of the nodes' kubelets
     * @param store folder of the nodes' image stores
     */
    public InstalledTorpor(Kubectl kubectl, Path kubeconfig, Path kubeletRoot, Path store) {
        this.kubectl = kubectl;
        this.helm = new Helm(kubeconfig);
        this.kubeletRoot = kubeletRoot;
        this.store = store;
    }

    /** Tells whether it is in the cluster. */
    public boolean isThere() {
        return helm.tryRun("status", RELEASE, "--namespace=" + NAMESPACE).code() == 0;
    }

    /** Returns the command line of {@link #install}, as people read it. */
    public String installCommand() {
        return "helm " + String.join(" ", installArguments());
    }

    /** Installs it and waits until all of it is ready; further values as {@code name=value}. Returns what helm says. */
    public String install(String... values) {
        List<String> arguments = installArguments();
        for (String value : values) {
            arguments.add("--set=" + value);
        }
        try {
            return helm.run(arguments.toArray(String[]::new));
        } catch (IllegalStateException e) {
            throw new IllegalStateException(e.getMessage() + "\n" + describe(), e);
        }
    }

    private List<String> installArguments() {
        List<String> arguments = new ArrayList<>(List.of("install", RELEASE, Helm.chart(), "--namespace=" + NAMESPACE));
        arguments.add("--create-namespace");
        arguments.add("--wait");
        arguments.add("--timeout=3m");
        for (String part : List.of("operator", "agent", "launcher")) {
            arguments.add("--set=" + part + ".image.tag=" + TAG);
        }
        for (String part : List.of("operator", "agent")) {
            arguments.add("--set=" + part + ".image.pullPolicy=Never");
        }
        arguments.add("--set=agent.kubeletRoot=" + kubeletRoot);
        arguments.add("--set=agent.storePath=" + store);
        return arguments;
    }

    /** Upgrades it to the values that it has and these, and waits until all of it is ready. */
    public String upgrade(String... values) {
        List<String> arguments = new ArrayList<>(List.of(
                "upgrade",
                RELEASE,
                Helm.chart(),
                "--namespace=" + NAMESPACE,
                "--reuse-values",
                "--wait",
                "--timeout=3m"));
        for (String value : values) {
            arguments.add("--set=" + value);
        }
        return helm.run(arguments.toArray(String[]::new));
    }

    /** Puts right what Helm thinks of it after an uninstall that was refused: rolls back to the last revision. */
    public void rollBack() {
        String status = helm.run("status", RELEASE, "--namespace=" + NAMESPACE, "--output=json");
        Matcher revision = REVISION.matcher(status);
        if (!revision.find()) {
            throw new IllegalStateException("helm tells no revision: " + status);
        }
        helm.run("rollback", RELEASE, revision.group(1), "--namespace=" + NAMESPACE, "--wait", "--timeout=3m");
    }

    /** Uninstalls it and waits until its pods are gone; may be refused. */
    public Kubectl.Result uninstall(String... more) {
        List<String> arguments =
                new ArrayList<>(List.of("uninstall", RELEASE, "--namespace=" + NAMESPACE, "--wait", "--timeout=3m"));
        arguments.addAll(List.of(more));
        Kubectl.Result result = helm.tryRun(arguments.toArray(String[]::new));
        if (result.code() == 0) {
            await("end of Torpor's pods")
                    .atMost(PATIENCE)
                    .until(() -> pods("operator").isEmpty() && pods("agent").isEmpty());
        }
        return result;
    }

    /** Returns the folder of the image stores. */
    public Path store() {
        return store;
    }

    /** Returns the folder of the kubelets. */
    public Path kubeletRoot() {
        return kubeletRoot;
    }

    /** Returns a runner of {@code kubectl}. */
    public Kubectl kubectl() {
        return kubectl;
    }

    /**
     * Returns the names of the pods of one part, without failed ones.
     *
     * @param part {@code operator} or {@code agent}
     */
    public List<String> pods(String part) {
        return pods(part, "name")
                .map(line -> line.substring(line.indexOf('/') + 1))
                .toList();
    }

    /** Returns what kubectl prints of the pods of one part, without failed ones, in a form that has a line for each. */
    private Stream<String> pods(String part, String form) {
        return kubectl.run(
                        "get",
                        "pods",
                        "-n",
                        NAMESPACE,
                        "-l",
                        "app.kubernetes.io/name=torpor-" + part,
                        NOT_FAILED,
                        "-o",
                        form)
                .lines();
    }

    /** Returns the name of the operator's pod that leads. */
    public String leader() {
        return await("leader of the operators")
                .atMost(PATIENCE)
                .until(this::holders, pods -> pods.size() == 1)
                .getFirst();
    }

    /** A process is named by its pod and a number. */
    private List<String> holders() {
        String holder = kubectl.run("get", "lease", LEASE, "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}");
        return pods("operator").stream().filter(holder::startsWith).toList();
    }

    /** Returns what a pod of Torpor answers on its HTTP port, by way of the API server. */
    public String http(String pod, String path) {
        return kubectl.run("get", "--raw", "/api/v1/namespaces/" + NAMESPACE + "/pods/" + pod + ":8080/proxy/" + path);
    }

    /** Returns the whole log of a pod of Torpor. */
    public String log(String pod) {
        return kubectl.run("logs", "-n", NAMESPACE, pod);
    }

    /** Returns the lines of all logs that tell of something that the API server's authorization refused. */
    public List<String> refusals() {
        List<String> found = new ArrayList<>();
        for (String part : List.of("operator", "agent")) {
            for (String pod : pods(part)) {
                log(pod).lines()
                        .filter(line -> line.toLowerCase(Locale.ROOT).contains("forbidden"))
                        .map(line -> pod + ": " + line)
                        .forEach(found::add);
            }
        }
        return found;
    }

    /** Has {@link #restarts} tell nothing of those that there were until now: a test wanted them. */
    public void forgetRestarts() {
        forgotten.addAll(restarts());
    }

    /** Returns the containers that were started more than once, as {@code pod/container: times}. */
    public List<String> restarts() {
        return kubectl.run(
                        "get",
                        "pods",
                        "-n",
                        NAMESPACE,
                        NOT_FAILED,
                        "-o",
                        "jsonpath={range .items[*]}{.metadata.name}{range .status.containerStatuses[*]}/{.name}:"
                                + " {.restartCount}{end}{\"\\n\"}{end}")
                .lines()
                .filter(line -> !line.endsWith(": 0") && !forgotten.contains(line))
                .toList();
    }

    /** Waits until the agents run and are ready again, and those of before are gone. */
    public void awaitAgents() {
        awaitPods("agent", "daemonset", ".status.desiredNumberScheduled");
    }

    /** Waits until the operators run and are ready again, and those of before are gone. */
    public void awaitOperators() {
        awaitPods("operator", "deployment", ".spec.replicas");
    }

    private void awaitPods(String part, String kind, String count) {
        String controller = kind + "/torpor-" + part;
        kubectl.run("rollout", "status", "-n", NAMESPACE, controller, "--timeout=180s");
        int wanted =
                Integer.parseInt(kubectl.run("get", controller, "-n", NAMESPACE, "-o", "jsonpath={" + count + "}"));
        // The status of a controller may be of before, and does not tell of pods that still terminate.
        List<String> _ = await("pods of " + controller)
                .atMost(PATIENCE)
                .until(
                        () -> states(part),
                        states -> states.size() == wanted && states.stream().allMatch("True"::equals));
    }

    /** Returns for each pod of a part whether it is ready, and since when it terminates if it does. */
    private List<String> states(String part) {
        return pods(
                        part,
                        "jsonpath={range .items[*]}{.metadata.deletionTimestamp}"
                                + "{.status.conditions[?(@.type=='Ready')].status}{\"\\n\"}{end}")
                .toList();
    }

    /** Returns what a person would look at when something is wrong: pods, events, ends of logs. */
    public String describe() {
        StringBuilder text = new StringBuilder();
        text.append(kubectl.tryRun("get", "pods", "-A", "-o", "wide").output());
        text.append(kubectl.tryRun("get", "events", "-n", NAMESPACE).output());
        for (String part : List.of("operator", "agent")) {
            text.append("--- ").append(part).append('\n');
            text.append(kubectl.tryRun(
                            "logs",
                            "-n",
                            NAMESPACE,
                            "-l",
                            "app.kubernetes.io/name=torpor-" + part,
                            "--tail=40",
                            "--prefix")
                    .output());
        }
        return text.toString();
    }
}
