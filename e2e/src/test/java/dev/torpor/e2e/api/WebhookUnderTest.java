package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.webhook.Webhook;
import dev.torpor.operator.webhook.WebhookOptions;
import io.fabric8.kubernetes.api.model.ContainerBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.MutatingWebhookConfiguration;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhook;
import io.fabric8.kubernetes.api.model.admissionregistration.v1.ValidatingWebhookConfiguration;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import java.util.Set;

/**
 * The two webhook configurations, with the rules of an installation and the URL of a server on this machine. One set of
 * them in a cluster; deleted at the end, so that other tests' pods are not held up.
 */
public final class WebhookUnderTest implements AutoCloseable {
    private static final Duration TIMEOUT = Duration.ofSeconds(90);
    private static final String OPTS = """
              sideEffects: None
              admissionReviewVersions: [v1]
              timeoutSeconds: 10
              namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [%2$s]}]}
              clientConfig: {url: "https://127.0.0.1:%1$d%3$s"}
            """;
    private static final String LABELLED =
            "  objectSelector: {matchExpressions: [{key: torpor.dev/vm, operator: Exists}]}\n";
    private static final String LABEL_OF =
            "(has(%1$s.metadata.labels) && 'torpor.dev/vm' in %1$s.metadata.labels ? %1$s.metadata.labels['torpor.dev/vm'] : '')";

    private final ControlPlane cluster;

    private WebhookUnderTest(ControlPlane cluster) {
        this.cluster = cluster;
    }

    /** Starts a replica of the webhook in this process, on a free port. The client is closed with the control plane. */
    static Webhook start(ControlPlane cluster, String systemNamespace, InstantSource clock) {
        KubernetesClient client = cluster.connect(cluster.kubeconfig());
        var webhook = new Webhook(
                client,
                systemNamespace,
                new WebhookOptions(
                        0,
                        WebhookOptions.DEFAULT_SERVICE,
                        Optional.empty(),
                        "torpor-launcher:local",
                        Optional.of("/var/lib/torpor"),
                        true,
                        Set.of()),
                clock,
                StepHook.NONE,
                answer -> {});
        webhook.start();
        return webhook;
    }

    /** Waits until a replica says that it can be called. */
    static void awaitReady(Webhook webhook) {
        await("webhook is ready").atMost(TIMEOUT).untilAsserted(() -> assertThat(webhook.notReadyReason())
                .isEmpty());
    }

    /** Waits until the API server has noticed both configurations: pods get the launcher, second live pods are refused. */
    public void awaitInForce(String namespace) {
        var pods = cluster.client().pods().inNamespace(namespace);
        Pod first = probe("probe-1");
        await("the server is trusted").atMost(TIMEOUT).ignoreExceptions().until(() -> {
            // It is there if only the answer was late.
            if (pods.withName("probe-1").get() == null) {
                pods.resource(first).create();
            }
            return true;
        });
        // The first one may have come before the API server knew of a configuration whose server it does not trust yet.
        await("pods are changed").atMost(TIMEOUT).ignoreExceptions().untilAsserted(() -> assertThat(
                        LauncherWiring.lacks(
                                pods.resource(vmPod("probe")).dryRun().create()))
                .isEmpty());
        await("pods are judged").atMost(TIMEOUT).untilAsserted(() -> assertThatThrownBy(
                        () -> pods.resource(probe("probe-2")).dryRun().create())
                .hasMessageContaining("has a live pod already"));
        pods.withName("probe-1").withGracePeriod(0).delete();
    }

    private static Pod probe(String name) {
        return new PodBuilder(vmPod(name))
                .editMetadata()
                .addToLabels(Torpor.VM_LABEL, "probe-twice")
                .endMetadata()
                .build();
    }

    /** Returns an ordinary QEMU pod, of a VM of the same name. */
    static Pod vmPod(String name) {
        return new PodBuilder()
                .withNewMetadata()
                .withName(name)
                .addToLabels(Torpor.VM_LABEL, name)
                .endMetadata()
                .withNewSpec()
                .addToContainers(new ContainerBuilder()
                        .withName("qemu")
                        .withImage("vm")
                        .withCommand("qemu-system-x86_64")
                        .withArgs("-machine", "pc-q35-10.0")
                        .build())
                .endSpec()
                .build();
    }

    /**
     * Lets the API server ask at ports of this machine about a namespace: one replica changes pods, the other one judges
     * them, so that both have a part in each pod.
     */
    public static WebhookUnderTest configure(ControlPlane cluster, int mutating, int validating, String namespace) {
        var webhook = new WebhookUnderTest(cluster);
        webhook.cluster
                .client()
                .resource(Serialization.unmarshal(
                        """
                        apiVersion: admissionregistration.k8s.io/v1
                        kind: MutatingWebhookConfiguration
                        metadata: {name: torpor}
                        webhooks:
                        - name: mutate-pods.torpor.dev
                          failurePolicy: Fail
                          reinvocationPolicy: IfNeeded
                          rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
                        """ + LABELLED + OPTS.formatted(mutating, namespace, "/mutate-pods") + """
                        - name: keep-pods.torpor.dev
                          failurePolicy: Ignore
                          matchConditions: [{name: spec-changes, expression: object.spec != oldObject.spec}]
                          rules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}]
                        """ + LABELLED
                                + OPTS.formatted(mutating, namespace, "/mutate-pods"),
                        MutatingWebhookConfiguration.class))
                .createOr(existing -> existing.update());
        webhook.cluster
                .client()
                .resource(Serialization.unmarshal(
                        """
                        apiVersion: admissionregistration.k8s.io/v1
                        kind: ValidatingWebhookConfiguration
                        metadata: {name: torpor}
                        webhooks:
                        - name: validate-pods.torpor.dev
                          failurePolicy: Fail
                          rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
                        """ + LABELLED + OPTS.formatted(validating, namespace, "/validate-pods")
                                + """
                        - name: relabel-pods.torpor.dev
                          failurePolicy: Ignore
                          matchConditions: [{name: vm-label-changes, expression: "%s != %s"}]
                          rules: [{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods]}]
                        """.formatted(LABEL_OF.formatted("object"), LABEL_OF.formatted("oldObject"))
                                + LABELLED + OPTS.formatted(validating, namespace, "/validate-pods") + """
                        - name: validate-workloads.torpor.dev
                          failurePolicy: Ignore
                          matchConditions:
                          - name: vm-template
                            expression: >-
                              has(object.spec.template.metadata) && has(object.spec.template.metadata.labels)
                              && 'torpor.dev/vm' in object.spec.template.metadata.labels
                          rules:
                          - apiGroups: [apps]
                            apiVersions: [v1]
                            operations: [CREATE, UPDATE]
                            resources: [statefulsets, deployments, replicasets, daemonsets]
                        """
                                + OPTS.formatted(validating, namespace, "/validate-workloads") + """
                        - name: evictions.torpor.dev
                          failurePolicy: Ignore
                          rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction]}]
                        """
                                + OPTS.formatted(validating, namespace, "/validate-evictions")
                                        .replace("sideEffects: None", "sideEffects: NoneOnDryRun"),
                        ValidatingWebhookConfiguration.class))
                .createOr(existing -> existing.update());
        return webhook;
    }

    /**
     * Has the API server ask about evictions of a namespace where nobody answers. Returns when it does: it learns of that a moment
     * later, of all webhooks of a configuration at once, and an eviction that the webhook hears of begins a save.
     */
    void loseEvictions(String namespace) {
        String gone = "https://127.0.0.1:%d/gone".formatted(FreePorts.take());
        cluster.client()
                .resources(ValidatingWebhookConfiguration.class)
                .withName("torpor")
                .edit(now -> {
                    now.getWebhooks().stream()
                            .filter(webhook -> "evictions.torpor.dev".equals(webhook.getName()))
                            .forEach(webhook -> webhook.getClientConfig().setUrl(gone));
                    now.getWebhooks()
                            .add(Serialization.unmarshal("""
                            name: marker.torpor.dev
                            failurePolicy: Fail
                            rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
                            sideEffects: None
                            admissionReviewVersions: [v1]
                            namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}
                            clientConfig: {url: "%s"}
                            """.formatted(namespace, gone), ValidatingWebhook.class));
                    return now;
                });
        await("the API server knows of it").atMost(TIMEOUT).until(() -> cluster.kubectl()
                .tryRun("create", "configmap", "marker", "-n", namespace, "--dry-run=server")
                .output()
                .contains("marker.torpor.dev"));
    }

    MutatingWebhookConfiguration mutating() {
        return cluster.client()
                .resources(MutatingWebhookConfiguration.class)
                .withName("torpor")
                .require();
    }

    ValidatingWebhookConfiguration validating() {
        return cluster.client()
                .resources(ValidatingWebhookConfiguration.class)
                .withName("torpor")
                .require();
    }

    @Override
    public void close() {
        cluster.kubectl(
                "delete",
                "--ignore-not-found",
                "mutatingwebhookconfiguration,validatingwebhookconfiguration",
                "torpor");
    }
}
