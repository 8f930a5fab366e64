package dev.torpor.operator.admission;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the handlers answer, beside the rules that they ask. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class PodAdmissionTest {
    private static final Scope SCOPE = new Scope("torpor-system");

    KubernetesClient client;

    @Test
    void podOfAVmIsChangedByAPatch() {
        AdmissionResponse response = mutation(Optional.empty()).handle(Requests.create(vmPod().build()));

        assertThat(response.getAllowed()).isTrue();
        assertThat(response.getPatchType()).isEqualTo("JSONPatch");
        assertThat(patch(response))
                .contains("\"/spec/initContainers\"", "/run/torpor/bin/launch", "\"/spec/volumes\"")
                .doesNotContain("/metadata", "hostPath");
    }

    @Test
    void manifestThatIsAppliedAgainKeepsTheLauncher() {
        Pod live = new LauncherInjection(new InjectionSettings("launcher", Optional.empty(), false))
                .inject(Requests.creation(vmPod().build()), false);
        Pod appliedAgain = new PodBuilder(live)
                .editSpec()
                .editFirstContainer()
                .withCommand("qemu-system-x86_64")
                .endContainer()
                .endSpec()
                .build();

        AdmissionResponse response = mutation(Optional.empty())
                .handle(Requests.request("UPDATE", "vms", appliedAgain)
                        .withOldObject(live)
                        .build());

        assertThat(patch(response)).contains("/spec/containers/0/command").doesNotContain("volumes", "tolerations");
    }

    @Test
    void manifestThatIsAppliedAgainKeepsTheReadinessGateThatThePodWasMadeWith() {
        Pod with = new LauncherInjection(new InjectionSettings("launcher", Optional.empty(), true))
                .inject(Requests.creation(vmPod().build()), false);
        Pod without = new LauncherInjection(new InjectionSettings("launcher", Optional.empty(), false))
                .inject(Requests.creation(vmPod().build()), false);

        assertThat(patch(appliedAgain(with, false))).contains("/spec/readinessGates", "torpor.dev/guest-running");
        assertThat(patch(appliedAgain(without, true))).doesNotContain("readinessGates");
    }

    private AdmissionResponse appliedAgain(Pod live, boolean gate) {
        Pod manifest = new PodBuilder(live)
                .editSpec()
                .withReadinessGates()
                .editFirstContainer()
                .withCommand("qemu-system-x86_64")
                .endContainer()
                .endSpec()
                .build();
        return new PodMutation(SCOPE, new InjectionSettings("launcher", Optional.empty(), gate), new LiveReads(client))
                .handle(Requests.request("UPDATE", "vms", manifest)
                        .withOldObject(live)
                        .build());
    }

    @Test
    void podThatNeverHadTheLauncherIsNotGivenItLater() {
        assertUntouched(mutation(Optional.empty())
                .handle(Requests.request("UPDATE", "vms", vmPod().build())
                        .withOldObject(vmPod().build())
                        .build()));
    }

    @Test
    void podThatNeedsNothingGetsNoPatch() {
        Pod injected = new LauncherInjection(new InjectionSettings("l", Optional.empty(), false))
                .inject(Requests.creation(vmPod().build()), false);

        assertThat(mutation(Optional.empty()).handle(Requests.create(injected)).getPatch())
                .isNull();
    }

    @Test
    void refusalCarriesCodeAndText() {
        AdmissionResponse response = mutation(Optional.empty())
                .handle(Requests.create(
                        vmPod().editSpec().withRestartPolicy("Never").endSpec().build()));

        assertThat(response.getAllowed()).isFalse();
        assertThat(response.getStatus().getCode()).isEqualTo(422);
        assertThat(response.getStatus().getMessage()).startsWith("VM pod web-pod has restartPolicy Never.");
    }

    @ParameterizedTest
    @ValueSource(strings = {"kube-system", "torpor-system"})
    void exemptNamespacesAreLeftAlone(String namespace) {
        AdmissionRequest request =
                Requests.request("CREATE", namespace, unfit()).build();

        assertUntouched(mutation(Optional.empty()).handle(request));
        assertUntouched(validation().handle(request));
    }

    @Test
    void podsWithoutTheLabelAreLeftAlone() {
        AdmissionRequest request = Requests.create(new PodBuilder(unfit())
                .editMetadata()
                .withLabels(null)
                .endMetadata()
                .build());

        assertUntouched(mutation(Optional.empty()).handle(request));
        assertUntouched(validation().handle(request));
    }

    @Test
    void imagesAreMountedWhereTheNamespaceSaysNothing() {
        namespace(null);
        assertThat(patch(mutation(Optional.of("/store")).handle(Requests.create(vmPod().build()))))
                .contains("/store/vms/web");
    }

    @Test
    void imagesAreMountedInAPrivilegedNamespace() {
        namespace("privileged");
        assertThat(patch(mutation(Optional.of("/store")).handle(Requests.create(vmPod().build()))))
                .contains("/store/vms/web");
    }

    @ParameterizedTest
    @ValueSource(strings = {"baseline", "restricted"})
    void imagesAreNotMountedWhereThatWouldBeRefused(String standard) {
        namespace(standard);
        assertThat(patch(mutation(Optional.of("/store")).handle(Requests.create(vmPod().build()))))
                .doesNotContain("hostPath");
    }

    @Test
    void podOfASavedVmIsHeldForItsNode() {
        savedVm("web");

        AdmissionResponse response = mutation(Optional.empty()).handle(Requests.create(vmPod().build()));

        assertThat(patch(response))
                .contains("\"/spec/schedulingGates\"", "torpor.dev/saved", "\"/spec/affinity\"", "metadata.name", "n7");
    }

    @Test
    void podThatHoldsItselfIsBoundToTheNodeAllTheSame() {
        savedVm("web");

        AdmissionResponse response = mutation(Optional.empty())
                .handle(Requests.create(vmPod().editSpec()
                        .addNewSchedulingGate("torpor.dev/saved")
                        .endSpec()
                        .build()));

        assertThat(patch(response))
                .doesNotContain("schedulingGates")
                .contains("\"/spec/affinity\"", "metadata.name", "n7");
    }

    @Test
    void podOfASavedVmThatNamesItsNodeIsRefused() {
        savedVm("web");

        AdmissionResponse response = mutation(Optional.empty())
                .handle(Requests.create(
                        vmPod().editSpec().withNodeName("n2").endSpec().build()));

        assertThat(response.getAllowed()).isFalse();
        assertThat(response.getStatus().getCode()).isEqualTo(409);
        assertThat(response.getStatus().getMessage())
                .contains("VMSnapshot web-1 has its memory, on node n7", "leave spec.nodeName out");
    }

    @Test
    void otherVmsAreNotHeld() {
        savedVm("other");

        AdmissionResponse response = mutation(Optional.empty()).handle(Requests.create(vmPod().build()));

        assertThat(patch(response)).doesNotContain("schedulingGates");
    }

    @Test
    void secondLivePodIsRefused() {
        client.resource(vmPod().editMetadata()
                        .withNamespace("vms")
                        .withName("first")
                        .endMetadata()
                        .build())
                .create();

        AdmissionResponse response = validation().handle(Requests.create(vmPod().build()));

        assertThat(response.getAllowed()).isFalse();
        assertThat(response.getStatus().getCode()).isEqualTo(409);
        assertThat(response.getStatus().getMessage())
                .isEqualTo(
                        "VM vms/web has a live pod already: first. A VM runs once: pod web-pod can be created when that one is gone.");
    }

    @Test
    void endedPodAndOtherVmsAreNoObstacle() {
        client.resource(vmPod().editMetadata()
                        .withNamespace("vms")
                        .withName("ended")
                        .endMetadata()
                        .withNewStatus()
                        .withPhase("Failed")
                        .endStatus()
                        .build())
                .create();
        client.resource(vmPod().editMetadata()
                        .withNamespace("vms")
                        .withName("other")
                        .addToLabels(Torpor.VM_LABEL, "other")
                        .endMetadata()
                        .build())
                .create();
        client.resource(vmPod().editMetadata()
                        .withNamespace("elsewhere")
                        .endMetadata()
                        .build())
                .create();

        assertThat(validation().handle(Requests.create(vmPod().build())).getAllowed())
                .isTrue();
    }

    @Test
    void podOfTheSameNameIsLeftToTheApiServer() {
        client.resource(vmPod().editMetadata()
                        .withNamespace("vms")
                        .endMetadata()
                        .build())
                .create();

        assertThat(validation().handle(Requests.create(vmPod().build())).getAllowed())
                .isTrue();
    }

    @Test
    void apiServerThatDoesNotAnswerIsARefusalThatCanBeTriedAgain() throws IOException {
        try (ServerSocket silent = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                KubernetesClient waiting = new KubernetesClientBuilder()
                        .withConfig(new ConfigBuilder(Config.empty())
                                .withMasterUrl("http://127.0.0.1:" + silent.getLocalPort())
                                .build())
                        .build()) {
            PodValidation validation = new PodValidation(SCOPE, new LiveReads(waiting, Duration.ofMillis(50)));

            AdmissionResponse response = validation.handle(Requests.create(vmPod().build()));

            assertThat(response.getStatus().getCode()).isEqualTo(503);
            assertThat(response.getStatus().getMessage())
                    .isEqualTo(
                            "VM pod web-pod: whether its VM has a live pod is not known, the pods of VM vms/web could not be read within 50 ms. Try again; nothing was created.");
        }
    }

    @Test
    void labelThatComesLaterIsWarnedOf() {
        Pod before = vmPod().editMetadata().withLabels(null).endMetadata().build();

        assertThat(update(before, vmPod().build()).getWarnings())
                .containsExactly(
                        "NotInjected: VM pod web-pod does not start QEMU through the launcher: the label came after the pod, and only a new pod can be given the launcher; create it anew. Its VM cannot be saved (VMSnapshots fail with LauncherMissing).");
    }

    @Test
    void labelThatComesLaterMakesNoSecondLivePod() {
        client.resource(vmPod().editMetadata()
                        .withNamespace("vms")
                        .withName("first")
                        .endMetadata()
                        .build())
                .create();
        Pod before = vmPod().editMetadata().withLabels(null).endMetadata().build();

        assertThat(update(before, vmPod().build()).getStatus().getCode()).isEqualTo(409);
    }

    @Test
    void liveVmKeepsItsName() {
        Pod renamed = vmPod().editMetadata()
                .addToLabels(Torpor.VM_LABEL, "db")
                .endMetadata()
                .build();

        AdmissionResponse response = update(vmPod().build(), renamed);

        assertThat(response.getStatus().getCode()).isEqualTo(403);
        assertThat(response.getStatus().getMessage())
                .isEqualTo(
                        "Pod web-pod is VM 'web' and cannot become VM 'db' while it lives: images and the node's records are kept by that name. Delete the pod and create it with the other label.");
    }

    @Test
    void labelThatIsTakenAwayIsWarnedOf() {
        Pod without = vmPod().editMetadata().withLabels(null).endMetadata().build();

        assertThat(update(vmPod().build(), without).getWarnings())
                .singleElement()
                .asString()
                .startsWith("VM pod web-pod loses its label torpor.dev/vm");
    }

    @Test
    void otherChangesOfAPodThatBreaksARuleAreLetThrough() {
        Pod running = new PodBuilder(unfit()).build();
        Pod touched = new PodBuilder(running)
                .editMetadata()
                .addToAnnotations("x", "y")
                .endMetadata()
                .build();

        assertUntouched(update(running, touched));
    }

    private AdmissionResponse update(Pod before, Pod after) {
        return validation()
                .handle(Requests.request("UPDATE", "vms", after)
                        .withOldObject(before)
                        .build());
    }

    private static PodBuilder vmPod() {
        return Requests.vmPod();
    }

    /** Returns a VM's pod that is refused where we have a say. */
    private static Pod unfit() {
        return vmPod().editSpec().withRestartPolicy("Never").endSpec().build();
    }

    private void namespace(@Nullable String standard) {
        var namespace = new NamespaceBuilder()
                .withNewMetadata()
                .withName("vms")
                .endMetadata()
                .build();
        if (standard != null) {
            namespace.getMetadata().setLabels(Map.of("pod-security.kubernetes.io/enforce", standard));
        }
        client.resource(namespace).create();
    }

    private void savedVm(String vm) {
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName(vm + "-1")
                .withCreationTimestamp("2026-01-02T03:00:00Z")
                .build());
        snapshot.setSpec(new VMSnapshotSpec(vm, SaveMode.ManagedSave, null, null, null, null, null, null, null, null));
        VMSnapshotStatus status = new VMSnapshotStatus();
        status.setNodeName("n7");
        status.setConditions(
                List.of(Conditions.next(null, ConditionType.SAVED, true, "Committed", "", 1L, Instant.EPOCH)));
        snapshot.setStatus(status);
        client.resource(snapshot).create();
    }

    private PodMutation mutation(Optional<String> images) {
        return new PodMutation(SCOPE, new InjectionSettings("launcher", images, false), new LiveReads(client));
    }

    private PodValidation validation() {
        return new PodValidation(SCOPE, new LiveReads(client));
    }

    private static void assertUntouched(AdmissionResponse response) {
        assertThat(response.getAllowed()).isTrue();
        assertThat(response.getPatch()).isNull();
        assertThat(Optional.ofNullable(response.getWarnings()).orElse(List.of()))
                .isEmpty();
    }

    private static String patch(AdmissionResponse response) {
        return new String(Base64.getDecoder().decode(response.getPatch()), StandardCharsets.UTF_8);
    }
}
