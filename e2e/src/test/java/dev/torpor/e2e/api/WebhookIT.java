package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.e2e.tree.WorkTree;
import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.webhook.Webhook;
import io.fabric8.kubernetes.api.model.Event;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The webhook as people meet it: through kubectl and a real API server. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
@SuppressWarnings("NullAway.Init")
class WebhookIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final Path EXAMPLES = WorkTree.root().resolve("examples");

    private ControlPlane cluster;
    private String namespace;
    private Webhook webhook;
    private WebhookUnderTest configuration;

    @BeforeEach
    void serve(ControlPlane shared, @TestNamespace String own) {
        cluster = shared;
        namespace = own;
        webhook = WebhookUnderTest.start(cluster, cluster.createNamespace("hook-system"), InstantSource.system());
        configuration = WebhookUnderTest.configure(cluster, webhook.port(), webhook.port(), namespace);
        WebhookUnderTest.awaitReady(webhook);
        configuration.awaitInForce(namespace);
    }

    @AfterEach
    void end() {
        configuration.close();
        webhook.close();
    }

    @Test
    void podWithTheLabelGetsTheLauncher() {
        assertThat(apply("vm-pod.yaml").output()).contains("pod/web created").doesNotContain("Warning");

        Pod pod = pod("web");
        assertThat(LauncherWiring.lacks(pod)).isEmpty();
        assertThat(pod.getSpec().getInitContainers()).extracting("name").containsExactly("torpor-launcher");
        assertThat(pod.getSpec().getTolerations())
                .filteredOn(toleration -> toleration.getKey().startsWith("node.kubernetes.io/"))
                .hasSize(2)
                .allSatisfy(toleration ->
                        assertThat(toleration.getTolerationSeconds()).isNull());
        assertThat(pod.getSpec().getVolumes())
                .filteredOn(volume -> volume.getHostPath() != null)
                .extracting(volume -> volume.getHostPath().getPath())
                .containsExactly("/var/lib/torpor/" + namespace + "/web");
    }

    @Test
    void manifestThatIsAppliedAgainChangesNothing() {
        apply("vm-pod.yaml");
        Pod before = pod("web");

        apply("vm-pod.yaml");
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", example("vm-pod.yaml"));

        assertThat(pod("web").getSpec()).isEqualTo(before.getSpec());
        assertThat(pod("web").getMetadata().getUid())
                .isEqualTo(before.getMetadata().getUid());
    }

    @Test
    void podWiredByHandStaysAsItIs() {
        apply("vm-pod-without-webhook.yaml");

        Pod pod = pod("web");
        assertThat(pod.getSpec().getInitContainers()).hasSize(1);
        assertThat(pod.getSpec().getContainers().getFirst().getCommand())
                .containsExactly("/run/torpor/bin/launch", "--", "qemu-system-x86_64");
        assertThat(pod.getSpec().getVolumes()).noneMatch(volume -> volume.getHostPath() != null);
    }

    @Test
    void podWithoutTheLabelIsUntouched() throws IOException {
        create(new PodBuilder(vmPod())
                .editMetadata()
                .withLabels(null)
                .endMetadata()
                .build());

        Pod pod = pod("web");
        assertThat(pod.getSpec().getInitContainers()).isEmpty();
        assertThat(pod.getSpec().getContainers().getFirst().getCommand()).containsExactly("qemu-system-x86_64");
    }

    @Test
    void podThatOptsOutIsUntouchedAndWarnedOf() throws IOException {
        Kubectl.Result result = create(new PodBuilder(vmPod())
                .editMetadata()
                .addToAnnotations(Torpor.INJECT_ANNOTATION, "false")
                .endMetadata()
                .build());

        assertThat(result.output()).contains("Warning: NotInjected: VM pod web", "created");
        assertThat(pod("web").getSpec().getInitContainers()).isEmpty();
    }

    @Test
    void refusalReachesThePersonAtKubectl() throws IOException {
        assertThat(create(new PodBuilder(vmPod())
                        .editSpec()
                        .withRestartPolicy("Never")
                        .endSpec()
                        .build()))
                .satisfies(result -> {
                    assertThat(result.code()).isNotZero();
                    assertThat(result.output())
                            .contains(
                                    "admission webhook \"mutate-pods.torpor.dev\" denied the request: VM pod web has restartPolicy Never. The launcher needs Always");
                });
        assertThat(create(new PodBuilder(vmPod())
                                .editSpec()
                                .editFirstContainer()
                                .withCommand()
                                .endContainer()
                                .endSpec()
                                .build())
                        .output())
                .contains("VM pod web: container qemu names no command");
        assertThat(cluster.client().pods().inNamespace(namespace).list().getItems())
                .isEmpty();
    }

    @Test
    void secondLivePodIsRefusedUntilTheFirstIsGone() throws IOException {
        apply("vm-pod.yaml");
        Pod second = named(vmPod(), "web-2");

        assertThat(create(second).output())
                .contains(
                        "validate-pods.torpor.dev",
                        "VM " + namespace + "/web has a live pod already: web. A VM runs once");

        cluster.kubectl("delete", "pod", "web", "-n", namespace);
        assertThat(create(second).output()).contains("pod/web-2 created");
    }

    @Test
    void deploymentIsWarnedOfAndItsPodsAreRefused() {
        Kubectl.Result result = cluster.kubectl().tryWithInput("""
                        apiVersion: apps/v1
                        kind: Deployment
                        metadata: {name: fleet}
                        spec:
                          selector: {matchLabels: {app: fleet}}
                          template:
                            metadata: {labels: {app: fleet, torpor.dev/vm: fleet}}
                            spec:
                              containers:
                              - {name: qemu, image: vm, command: [qemu-system-x86_64], args: [-machine, pc-q35-10.0]}
                        """, "apply", "-n", namespace, "-f", "-");

        assertThat(result.output())
                .contains(
                        "Warning: No pod of this Deployment will be created. VM pod fleet-… belongs to Deployment fleet, and a Deployment starts the next pod while the last one still runs.",
                        "deployment.apps/fleet created");
        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(
                        cluster.client().v1().events().inNamespace(namespace).list().getItems().stream()
                                .filter(event -> "FailedCreate".equals(event.getReason()))
                                .map(Event::getMessage))
                .anyMatch(message -> message.contains("belongs to ReplicaSet fleet-")));
    }

    @Test
    void statefulSetOfTheExampleRunsItsVm() {
        assertThat(apply("vm-statefulset.yaml").output())
                .contains("statefulset.apps/db created")
                .doesNotContain("Warning");

        await().atMost(TIMEOUT).untilAsserted(() -> assertThat(cluster.client()
                        .pods()
                        .inNamespace(namespace)
                        .withName("db-0")
                        .get())
                .isNotNull()
                .satisfies(pod -> assertThat(LauncherWiring.lacks(pod)).isEmpty()));
    }

    @Test
    void statefulSetThatWouldKillItsVmIsWarnedOf() {
        apply("vm-statefulset.yaml");

        assertThat(cluster.kubectl(
                        "patch",
                        "statefulset",
                        "db",
                        "-n",
                        namespace,
                        "-p",
                        "{\"spec\":{\"replicas\":2,\"updateStrategy\":{\"type\":\"RollingUpdate\"}}}"))
                .contains(
                        "Warning: StatefulSet db has replicas: 2, but its pods are one VM",
                        "Warning: StatefulSet db has updateStrategy RollingUpdate");
    }

    @Test
    void dryRunShowsTheResultAndDoesNothing() {
        String shown = cluster.kubectl(
                "apply", "--dry-run=server", "-o", "yaml", "-n", namespace, "-f", example("vm-pod.yaml"));

        assertThat(LauncherWiring.lacks(Serialization.unmarshal(shown, Pod.class)))
                .isEmpty();
        assertThat(cluster.client().pods().inNamespace(namespace).list().getItems())
                .isEmpty();
        assertThat(apply("vm-pod.yaml").output()).contains("pod/web created");
    }

    @Test
    void labelAddedLaterIsWarnedOfAndAVmKeepsItsName() throws IOException {
        create(new PodBuilder(vmPod())
                .editMetadata()
                .withLabels(null)
                .endMetadata()
                .build());

        assertThat(cluster.kubectl("label", "pod", "web", "-n", namespace, "torpor.dev/vm=web"))
                .contains("Warning: NotInjected: VM pod web", "the label came after the pod", "pod/web labeled");
        assertThat(cluster.kubectl()
                        .tryRun("label", "--overwrite", "pod", "web", "-n", namespace, "torpor.dev/vm=db")
                        .output())
                .contains("Pod web is VM 'web' and cannot become VM 'db' while it lives");
        assertThat(cluster.kubectl("annotate", "pod", "web", "-n", namespace, "other=change"))
                .doesNotContain("Warning");
    }

    @Test
    void restrictedNamespaceTakesTheLauncherWithoutTheImages() throws IOException {
        cluster.client().namespaces().withName(namespace).edit(found -> new NamespaceBuilder(found)
                .editMetadata()
                .addToLabels("pod-security.kubernetes.io/enforce", "restricted")
                .endMetadata()
                .build());

        assertThat(create(new PodBuilder(vmPod())
                                .editSpec()
                                .withNewSecurityContext()
                                .withRunAsNonRoot(true)
                                .withRunAsUser(1000L)
                                .withNewSeccompProfile()
                                .withType("RuntimeDefault")
                                .endSeccompProfile()
                                .endSecurityContext()
                                .editFirstContainer()
                                .withNewSecurityContext()
                                .withAllowPrivilegeEscalation(false)
                                .withNewCapabilities()
                                .withDrop("ALL")
                                .endCapabilities()
                                .endSecurityContext()
                                .endContainer()
                                .endSpec()
                                .build())
                        .output())
                .contains("pod/web created");

        assertThat(LauncherWiring.lacks(pod("web"))).isEmpty();
        assertThat(pod("web").getSpec().getVolumes()).noneMatch(volume -> volume.getHostPath() != null);
    }

    private Kubectl.Result apply(String example) {
        Kubectl.Result result = cluster.kubectl().tryRun("apply", "-n", namespace, "-f", example(example));
        assertThat(result.code()).as(result.output()).isZero();
        return result;
    }

    private static String example(String name) {
        return EXAMPLES.resolve(name).toString();
    }

    private Kubectl.Result create(Pod pod) {
        return cluster.kubectl().tryWithInput(Serialization.asYaml(pod), "create", "-n", namespace, "-f", "-");
    }

    private Pod pod(String name) {
        return cluster.client().pods().inNamespace(namespace).withName(name).require();
    }

    private static Pod vmPod() throws IOException {
        return Serialization.unmarshal(Files.readString(EXAMPLES.resolve("vm-pod.yaml")), Pod.class);
    }

    private static Pod named(Pod pod, String name) {
        return new PodBuilder(pod).editMetadata().withName(name).endMetadata().build();
    }
}
