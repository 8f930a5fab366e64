package dev.torpor.e2e.api;

import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.Conflicts;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Helm;
import dev.torpor.e2e.cluster.Kubectl;
import io.fabric8.kubernetes.api.model.NodeBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingAdmissionPolicy;
import io.fabric8.kubernetes.api.model.coordination.v1.LeaseBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * A control plane with controllers on which the chart was installed by Helm, and two nodes that nobody runs: the pods of
 * operator and agents are made by their controllers and bound by the scheduler, but never started. What the API server
 * lets their service accounts do is shown with the tokens that a kubelet would mount into these very pods.
 */
final class InstalledChart implements AutoCloseable {
    static final String NAMESPACE = Torpor.SYSTEM_NAMESPACE;
    static final String NODE_1 = "n1";
    static final String NODE_2 = "n2";

    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    /** A node that is silent for 50 s is tainted, and its pods are deleted later. */
    private static final Duration HEARTBEAT = Duration.ofSeconds(10);

    private final ControlPlane cluster;
    private final ScheduledExecutorService heart = Executors.newSingleThreadScheduledExecutor();
    private final Map<String, Path> kubeconfigs = new ConcurrentHashMap<>();

    private InstalledChart(ControlPlane cluster) {
        this.cluster = cluster;
    }

    /** Starts the control plane and installs the chart. */
    static InstalledChart start() {
        ControlPlane cluster = ControlPlane.start(ControlPlane.Options.WHOLE);
        InstalledChart chart = new InstalledChart(cluster);
        try {
            List.of(NODE_1, NODE_2).forEach(chart::addNode);
            var _ = chart.heart.scheduleAtFixedRate(chart::beat, 0, HEARTBEAT.toSeconds(), TimeUnit.SECONDS);
            chart.keepAnUnboundToken();
            // The webhook has nobody to serve it here.
            cluster.helm()
                    .run(
                            "install",
                            "torpor",
                            Helm.chart(),
                            "--namespace=" + NAMESPACE,
                            "--create-namespace",
                            "--set=webhook.enabled=false");
            chart.awaitPolicies();
            return chart;
        } catch (RuntimeException e) {
            chart.close();
            throw e;
        }
    }

    /** A token without a pod, which the policies give nobody: asked for before they are there. Helm adopts the account. */
    private void keepAnUnboundToken() {
        cluster.kubectl().runWithInput("""
                apiVersion: v1
                kind: Namespace
                metadata: {name: %1$s}
                ---
                apiVersion: v1
                kind: ServiceAccount
                metadata:
                  name: torpor-agent
                  namespace: %1$s
                  labels: {app.kubernetes.io/managed-by: Helm}
                  annotations: {meta.helm.sh/release-name: torpor, meta.helm.sh/release-namespace: %1$s}
                """.formatted(NAMESPACE), "create", "-f", "-");
        kubeconfigs.put("unbound", cluster.kubeconfigOfServiceAccount(NAMESPACE, "torpor-agent"));
    }

    /** The API server takes a second or so to put a policy into force; each has its binding, in no order. */
    private void awaitPolicies() {
        for (String account : List.of("torpor-agent", "torpor-operator")) {
            await("policy torpor-tokens")
                    .atMost(TIMEOUT)
                    .until(() -> cluster.kubectl()
                                    .tryRun("create", "token", "--namespace=" + NAMESPACE, account)
                                    .code()
                            != 0);
        }
        await("type checking of all policies").atMost(TIMEOUT).until(() -> policies().stream()
                .allMatch(policy -> policy.getStatus() != null
                        && policy.getMetadata()
                                .getGeneration()
                                .equals(policy.getStatus().getObservedGeneration())));
    }

    /** Returns the chart's policies. */
    List<ValidatingAdmissionPolicy> policies() {
        return cluster.client()
                .resources(ValidatingAdmissionPolicy.class)
                .withLabel("app.kubernetes.io/part-of", "torpor")
                .list()
                .getItems();
    }

    private void addNode(String name) {
        cluster.client()
                .resource(new NodeBuilder()
                        .withNewMetadata()
                        .withName(name)
                        .addToLabels("kubernetes.io/os", "linux")
                        .addToLabels("kubernetes.io/hostname", name)
                        .endMetadata()
                        .build())
                .create();
        // The node's controllers write it at the same time.
        Conflicts.retried(() -> cluster.client().nodes().withName(name).editStatus(node -> new NodeBuilder(node)
                .withNewStatus()
                .withCapacity(
                        Map.of("cpu", new Quantity("8"), "memory", new Quantity("16Gi"), "pods", new Quantity("100")))
                .withAllocatable(
                        Map.of("cpu", new Quantity("8"), "memory", new Quantity("16Gi"), "pods", new Quantity("100")))
                .addNewCondition()
                .withType("Ready")
                .withStatus("True")
                .withReason("KubeletReady")
                .endCondition()
                .endStatus()
                .build()));
    }

    private void beat() {
        for (String node : List.of(NODE_1, NODE_2)) {
            try {
                beat(node);
            } catch (KubernetesClientException e) {
                // A beat that throws would be the last one.
                System.err.println("heartbeat of node " + node + " failed: " + e.getMessage());
            }
        }
    }

    private void beat(String node) {
        cluster.client()
                .resource(new LeaseBuilder()
                        .withNewMetadata()
                        .withNamespace("kube-node-lease")
                        .withName(node)
                        .endMetadata()
                        .withNewSpec()
                        .withHolderIdentity(node)
                        .withLeaseDurationSeconds(40)
                        .withRenewTime(ZonedDateTime.now(ZoneOffset.UTC))
                        .endSpec()
                        .build())
                .forceConflicts()
                .serverSideApply();
    }

    ControlPlane cluster() {
        return cluster;
    }

    /** Returns a kubeconfig file with the token of the agent's pod on a node. */
    Path agentOf(String node) {
        return kubeconfigs.computeIfAbsent(node, name -> cluster.kubeconfigOfPod(agentPod(name)));
    }

    /** Returns a kubeconfig file with the token of an operator's pod. */
    Path operator() {
        return kubeconfigs.computeIfAbsent(
                "operator", name -> cluster.kubeconfigOfPod(boundPod("torpor-operator", Optional.empty())));
    }

    /** Returns a kubeconfig file with a token of the agents' service account that names no node. */
    Path unboundAgent() {
        return Objects.requireNonNull(kubeconfigs.get("unbound"));
    }

    /** Returns the agent's pod on a node, made by the DaemonSet's controller. */
    Pod agentPod(String node) {
        return boundPod("torpor-agent", Optional.of(node));
    }

    private Pod boundPod(String component, Optional<String> node) {
        return await("pod of " + component)
                .atMost(TIMEOUT)
                .until(
                        () -> cluster
                                .client()
                                .pods()
                                .inNamespace(NAMESPACE)
                                .withLabel("app.kubernetes.io/name", component)
                                .list()
                                .getItems()
                                .stream()
                                .filter(pod -> pod.getSpec().getNodeName() != null)
                                .filter(pod -> node.isEmpty()
                                        || pod.getSpec().getNodeName().equals(node.get()))
                                .findFirst(),
                        Optional::isPresent)
                .orElseThrow();
    }

    /** Gives all agents each right that RBAC can give, until it is closed. */
    AutoCloseable allRightsToAgents() {
        cluster.kubectl(
                "create",
                "clusterrolebinding",
                "too-much",
                "--clusterrole=cluster-admin",
                "--serviceaccount=" + NAMESPACE + ":torpor-agent");
        awaitAllRightsOfAgents(true);
        return () -> {
            cluster.kubectl("delete", "clusterrolebinding", "too-much");
            awaitAllRightsOfAgents(false);
        };
    }

    /** The API server hears of a binding a moment later. */
    private void awaitAllRightsOfAgents(boolean wanted) {
        Kubectl agent = kubectlOf(agentOf(NODE_1));
        await("all rights of agents: " + wanted)
                .atMost(TIMEOUT)
                .until(() -> (agent.tryRun("auth", "can-i", "*", "*").code() == 0) == wanted);
    }

    Kubectl kubectlOf(Path kubeconfig) {
        return cluster.kubectlOf(kubeconfig);
    }

    @Override
    public void close() {
        heart.shutdownNow();
        cluster.close();
    }
}
