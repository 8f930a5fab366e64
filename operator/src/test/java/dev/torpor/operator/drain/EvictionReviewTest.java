package dev.torpor.operator.drain;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.RestorePhase;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreSpec;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.TestCluster;
import io.fabric8.kubernetes.api.model.ConditionBuilder;
import io.fabric8.kubernetes.api.model.DeleteOptions;
import io.fabric8.kubernetes.api.model.DeleteOptionsBuilder;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodReadinessGate;
import io.fabric8.kubernetes.api.model.Quantity;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionReviewBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.EvictionBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The webhook's answers on the client's mock server. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class EvictionReviewTest {
    private static final DeleteOptions NO_OPTIONS = new DeleteOptions();
    private static final DeleteOptions DRY_RUN =
            new DeleteOptionsBuilder().withDryRun("All").build();

    private KubernetesMockServer server;
    private KubernetesClient client;
    private TestCluster cluster;

    @BeforeEach
    void serve() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshotClass.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMRestore.class));
        cluster = new TestCluster(client);
    }

    @Test
    void anEvictionHasTheVmSavedOnceHoweverOftenItIsAsked() {
        cordon();
        createPod(pod -> pod);

        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", "torpor: saving VM web: it begins");
        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", "torpor: saving VM web: it begins");

        assertThat(saves()).singleElement().satisfies(save -> {
            assertThat(save.getMetadata().getName()).isEqualTo("web-" + podUid().substring(0, 8) + "-1");
            assertThat(save.getMetadata().getLabels()).isNullOrEmpty();
            assertThat(save.getMetadata().getOwnerReferences()).isEmpty();
            assertThat(save.getMetadata().getAnnotations())
                    .isEqualTo(Map.of(
                            Torpor.CREATED_BY_ANNOTATION,
                            "drain",
                            Torpor.DRAIN_NODE_ANNOTATION,
                            "n1",
                            Torpor.DRAIN_CAUSE_ANNOTATION,
                            "Cordon",
                            Torpor.MEMORY_ANNOTATION,
                            "4294967296"));
            assertThat(save.getSpec().mode()).isEqualTo(SaveMode.ManagedSave);
            assertThat(save.getSpec().resume()).isEqualTo(ResumePolicy.WhenReady);
            assertThat(Objects.requireNonNull(save.getSpec().source()).podUID()).isEqualTo(podUid());
            assertThat(save.getSpec().deadlineSeconds()).isEqualTo(3600);
        });
        assertThat(client.pods().inNamespace("vms").withName("web-0").get()).isNotNull();
    }

    @Test
    void aSaveForAnEvictionFromANodeThatTakesPodsIsNotTiedToItsCordon() {
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        assertThat(saves().getFirst().getMetadata().getAnnotations())
                .containsEntry(Torpor.DRAIN_CAUSE_ANNOTATION, "Eviction");
    }

    @Test
    void itSaysHowFarTheSaveIs() {
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        status(Drained.saving(saves().getFirst(), 2_254_857_830L, 4L << 30));
        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", "torpor: saving VM web: 2.1 of 4.0 GiB, 6 s left");
    }

    @Test
    void aVmThatCannotBeSavedBlocksWithTheReasonAndWhatToDo() {
        cordon();
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        status(Drained.failed(saves().getFirst(), "MigrationBlocked"));

        AdmissionResponse response = evict(NO_OPTIONS);

        assertThat(response.getStatus().getCode()).isEqualTo(429);
        assertThat(response.getStatus().getMessage())
                .startsWith("torpor: blocked: VM web cannot be saved, and runs on: MigrationBlocked: ")
                .contains(
                        "delete VMSnapshot " + saves().getFirst().getMetadata().getName());
        assertThat(saves()).hasSize(1);
        client.resource(saves().getFirst()).delete();
        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", "torpor: saving VM web: it begins");
    }

    @Test
    void aSaveThatFailedForAPassingReasonIsMadeAgain() {
        cordon();
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        VMSnapshot first = Drained.failed(saves().getFirst(), "StoreUnavailable");
        status(first);

        assertThat(evict(NO_OPTIONS).getStatus().getMessage())
                .startsWith("torpor: saving VM web again, attempt 2; the last one ended with StoreUnavailable: ");
        assertThat(saves())
                .extracting(save -> save.getMetadata().getName())
                .contains("web-" + podUid().substring(0, 8) + "-2");
    }

    @Test
    void aStatusThatABackupBroughtBackIsNoSaveOfTheVm() {
        cordon();
        createPod(pod -> pod);
        VMSnapshot old = Drained.snapshot("old", SaveMode.ManagedSave, podUid());
        client.resource(old).create();
        old = Drained.saved(old);
        old.getStatus().setManifestRevision("torpor-of-another");
        status(old);

        assertThat(evict(NO_OPTIONS).getStatus().getMessage()).isEqualTo("torpor: saving VM web: it begins");
        assertThat(saves()).hasSize(1);
    }

    @Test
    void aPodThatWaitsForASavedMemoryIsNotSavedAgain() {
        cordon();
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        VMSnapshot image = Drained.ofPod(Drained.saved(saves().getFirst()), "the pod before");
        client.resource(image).delete();
        image.getMetadata().setResourceVersion(null);
        client.resource(image).create();
        status(image);

        // Where nothing tells whether a guest runs, nobody is told that none does.
        String waits = "torpor: the memory of VM web is saved in VMSnapshot %s, and pod web-0 waits for it"
                .formatted(image.getMetadata().getName());
        gates(List.of());
        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", waits);
        gates(List.of(new PodReadinessGate(Torpor.GUEST_RUNNING)));
        assertRefused(evict(NO_OPTIONS), 404, "NotFound", waits + ": there is nothing to evict");
        assertRefused(evict(DRY_RUN), 404, "NotFound", waits + ": there is nothing to evict");

        VMRestore restore = new VMRestore();
        restore.setMetadata(new ObjectMetaBuilder()
                .withNamespace("vms")
                .withName("web-start")
                .build());
        restore.setSpec(new VMRestoreSpec(image.getMetadata().getName(), null, null, null, 300));
        client.resource(restore).create();
        assertIsBeingStarted(image);
        restoreIs(RestorePhase.Loading, false);
        assertIsBeingStarted(image);
        restoreIs(RestorePhase.Running, true); // the snapshot does not know yet
        assertIsBeingStarted(image);
        restoreIs(RestorePhase.Failed, false);
        assertRefused(evict(NO_OPTIONS), 404, "NotFound", waits + ": there is nothing to evict");

        client.pods().inNamespace("vms").withName("web-0").editStatus(pod -> new PodBuilder(pod)
                .editStatus()
                .addNewCondition()
                .withType(Torpor.GUEST_RUNNING)
                .withStatus("True")
                .endCondition()
                .endStatus()
                .build());
        assertRefused(evict(NO_OPTIONS), 429, "TooManyRequests", waits);
        assertThat(saves()).hasSize(1);
    }

    private void gates(List<PodReadinessGate> gates) {
        client.pods().inNamespace("vms").withName("web-0").edit(pod -> new PodBuilder(pod)
                .editSpec()
                .withReadinessGates(gates)
                .endSpec()
                .build());
    }

    private void restoreIs(RestorePhase phase, boolean resumed) {
        VMRestoreStatus status = new VMRestoreStatus();
        status.setNodeName("n1");
        status.setPhase(phase);
        status.setConditions(List.of(new ConditionBuilder()
                .withType(ConditionType.RESUMED)
                .withStatus(resumed ? "True" : "False")
                .build()));
        client.resources(VMRestore.class)
                .inNamespace("vms")
                .withName("web-start")
                .editStatus(now -> {
                    now.setStatus(status);
                    return now;
                });
    }

    private void assertIsBeingStarted(VMSnapshot image) {
        assertRefused(
                evict(NO_OPTIONS),
                429,
                "TooManyRequests",
                "torpor: VM web is being started from VMSnapshot %s, and is saved once it runs"
                        .formatted(image.getMetadata().getName()));
    }

    @Test
    void aDryRunTellsOfAVmThatWouldBeLost() {
        cordon();
        createPod(pod -> pod);
        evict(NO_OPTIONS);
        status(Drained.failed(saves().getFirst(), "MigrationBlocked"));
        VMSnapshotClass deleting = new VMSnapshotClass();
        deleting.setMetadata(new ObjectMetaBuilder()
                .withName("default")
                .addToAnnotations(Torpor.DEFAULT_CLASS_ANNOTATION, "true")
                .build());
        deleting.setSpec(new VMSnapshotClassSpec(null, null, null, null, OnSaveFailure.Delete, null, null));
        client.resource(deleting).create();

        AdmissionResponse response = evict(DRY_RUN);
        assertThat(response.getStatus().getCode()).isEqualTo(404);
        assertThat(response.getStatus().getMessage()).contains("onSaveFailure: Delete", "its memory is lost");
    }

    @Test
    void aDryRunDoesNothingAndEndsLikeTheDrainWould() {
        createPod(pod -> pod);
        assertRefused(
                evict(DRY_RUN),
                404,
                "NotFound",
                "torpor: dry run: VM web would be saved on node n1, and pod web-0 deleted then; nothing was done");
        AdmissionRequest saidInTheRequest = request("vms", "web-0", NO_OPTIONS);
        saidInTheRequest.setDryRun(true);
        assertThat(answer(saidInTheRequest).getStatus().getCode()).isEqualTo(404);
        assertThat(saves()).isEmpty();
    }

    @Test
    void aDryRunTellsOfAVmThatCouldNotBeSaved() {
        createPod(pod -> pod.editSpec().withVolumes().endSpec());
        AdmissionResponse response = evict(DRY_RUN);
        assertThat(response.getStatus().getCode()).isEqualTo(409);
        assertThat(response.getStatus().getMessage())
                .startsWith("torpor: blocked: VM web could not be saved: pod web-0 does not start QEMU");
        assertThat(saves()).isEmpty();
    }

    @Test
    void aPodOnNoNodeIsGoneForADrain() {
        createPod(pod -> pod.editSpec()
                .withNodeName(null)
                .addNewSchedulingGate("torpor.dev/saved")
                .endSpec());
        assertRefused(
                evict(NO_OPTIONS),
                404,
                "NotFound",
                "torpor: pod web-0 of VM web is on no node: there is nothing to evict");
        assertThat(saves()).isEmpty();
    }

    @Test
    void anEvictionOfAnEarlierPodOfThatNameIsAConflict() {
        createPod(pod -> pod);
        AdmissionResponse response = evict(new DeleteOptionsBuilder()
                .withNewPreconditions()
                .withUid("earlier")
                .endPreconditions()
                .build());
        assertThat(response.getStatus().getCode()).isEqualTo(409);
        assertThat(saves()).isEmpty();
    }

    @Test
    void whatIsNoVmOrAtItsEndIsLeftToTheApiServer() {
        assertThat(evict(NO_OPTIONS).getAllowed()).isTrue();
        createPod(pod -> pod.editMetadata().withLabels(Map.of("app", "db")).endMetadata());
        assertThat(evict(NO_OPTIONS).getAllowed()).isTrue();
        client.pods().inNamespace("vms").withName("web-0").delete();
        createPod(pod -> pod.editStatus().withPhase("Failed").endStatus());
        assertThat(evict(NO_OPTIONS).getAllowed()).isTrue();
        client.pods().inNamespace("vms").withName("web-0").delete();
        createPod(pod -> pod.editMetadata().withFinalizers("example.com/held").endMetadata());
        client.pods().inNamespace("vms").withName("web-0").delete();
        assertThat(client.pods()
                        .inNamespace("vms")
                        .withName("web-0")
                        .require()
                        .getMetadata()
                        .getDeletionTimestamp())
                .isNotNull();
        assertThat(evict(NO_OPTIONS).getAllowed()).isTrue();
        assertThat(saves()).isEmpty();
    }

    @Test
    void podsOfTorporAndOfTheClusterAreNeverHeld() {
        for (String namespace : List.of("torpor-system", "kube-system")) {
            client.resource(new PodBuilder(Drained.pod())
                            .editMetadata()
                            .withNamespace(namespace)
                            .endMetadata()
                            .build())
                    .create();
            assertThat(answer(request(namespace, "web-0", NO_OPTIONS)).getAllowed())
                    .isTrue();
        }
    }

    @Test
    void noVmIsSavedOntoADiskThatGoesWithItsNode() {
        createPod(pod -> pod);
        taint();

        AdmissionResponse response = evict(NO_OPTIONS);

        assertThat(response.getStatus().getCode()).isEqualTo(429);
        assertThat(response.getStatus().getMessage())
                .startsWith(
                        "torpor: blocked: node n1 is about to be deleted (taint ToBeDeletedByClusterAutoscaler), and an image of VM web would go with its disk. The VM runs on.");
        assertThat(evict(DRY_RUN).getStatus().getCode()).isEqualTo(409);
        assertThat(saves()).isEmpty();
    }

    @Test
    void aNodeWhoseDiskOutlivesItIsLikeAnyOtherWhereTheClassSaysSo() {
        createPod(pod -> pod);
        defaultClass(OnNodeRemoval.Save);
        taint();

        assertThat(evict(DRY_RUN).getStatus().getCode()).isEqualTo(404);
        assertThat(saves()).isEmpty();
        assertThat(evict(NO_OPTIONS).getStatus().getMessage()).startsWith("torpor: saving VM web: it begins");
        assertThat(saves()).hasSize(1);
    }

    @Test
    void whereTheClassSaysSoAVmIsShutDownInsteadAndNeverSaved() {
        createPod(pod -> pod);
        String uid = client.pods()
                .inNamespace("vms")
                .withName("web-0")
                .get()
                .getMetadata()
                .getUid();
        defaultClass(OnNodeRemoval.Shutdown);
        taint();

        assertRefused(
                evict(DRY_RUN),
                404,
                "NotFound",
                "torpor: dry run: VM web would be shut down, not saved, as node n1 is about to be deleted, and pod web-0 deleted then; nothing was done");
        assertThat(saves()).isEmpty();
        assertThat(evict(NO_OPTIONS).getStatus().getMessage())
                .isEqualTo(
                        "torpor: node n1 is about to be deleted (taint ToBeDeletedByClusterAutoscaler), and the class says onNodeRemoval: Shutdown: the guest of VM web is asked to shut down");
        assertThat(evict(NO_OPTIONS).getStatus().getMessage())
                .startsWith("torpor: VM web is about to be shut down, as its node n1 is about to be deleted");
        assertThat(saves()).singleElement().satisfies(order -> {
            assertThat(order.getSpec().cancel()).as("no agent saves it").isTrue();
            assertThat(order.getMetadata().getAnnotations())
                    .containsEntry(Torpor.DRAIN_CAUSE_ANNOTATION, "Removal")
                    .containsEntry(Torpor.SHUT_DOWN_ANNOTATION, uid + "/30");
        });
    }

    private void defaultClass(OnNodeRemoval onNodeRemoval) {
        VMSnapshotClass made = new VMSnapshotClass();
        made.setMetadata(new ObjectMetaBuilder()
                .withName("default")
                .addToAnnotations(Torpor.DEFAULT_CLASS_ANNOTATION, "true")
                .build());
        made.setSpec(new VMSnapshotClassSpec(null, null, null, null, null, onNodeRemoval, null));
        client.resource(made).create();
    }

    private void taint() {
        Node tainted = Drained.tainted("ToBeDeletedByClusterAutoscaler");
        client.nodes().withName("n1").edit(node -> {
            node.setSpec(tainted.getSpec());
            return node;
        });
    }

    private void cordon() {
        client.nodes().withName("n1").edit(node -> {
            node.setSpec(Drained.cordoned().getSpec());
            return node;
        });
    }

    private void createPod(UnaryOperator<PodBuilder> change) {
        Pod pod = change.apply(new PodBuilder(Drained.pod())
                        .editSpec()
                        .editFirstContainer()
                        .withNewResources()
                        .addToRequests("memory", new Quantity("4Gi"))
                        .endResources()
                        .endContainer()
                        .endSpec())
                .build();
        client.resource(pod).create();
    }

    private String podUid() {
        return client.pods()
                .inNamespace("vms")
                .withName("web-0")
                .require()
                .getMetadata()
                .getUid();
    }

    private void status(VMSnapshot snapshot) {
        client.resources(VMSnapshot.class)
                .inNamespace("vms")
                .withName(snapshot.getMetadata().getName())
                .editStatus(now -> {
                    now.setStatus(snapshot.getStatus());
                    return now;
                });
    }

    private List<VMSnapshot> saves() {
        return client.resources(VMSnapshot.class).inNamespace("vms").list().getItems().stream()
                .filter(save -> save.getMetadata().getName().startsWith("web-"))
                .toList();
    }

    private AdmissionResponse evict(DeleteOptions options) {
        return answer(request("vms", "web-0", options));
    }

    private AdmissionResponse answer(AdmissionRequest request) {
        return Objects.requireNonNull(
                        EvictionReview.controllers(client, "torpor-system", cluster.clock(), StepHook.NONE)
                                .get(EvictionReview.PATH))
                .handle(new AdmissionReviewBuilder().withRequest(request).build())
                .getResponse();
    }

    private static AdmissionRequest request(String namespace, String pod, DeleteOptions options) {
        AdmissionRequest request = new AdmissionRequest();
        request.setUid("review");
        request.setOperation("CREATE");
        request.setNamespace(namespace);
        request.setName(pod);
        request.setObject(new EvictionBuilder().withDeleteOptions(options).build());
        return request;
    }

    private static void assertRefused(AdmissionResponse response, int code, String reason, String message) {
        assertThat(response.getAllowed()).isFalse();
        assertThat(response.getStatus().getCode()).isEqualTo(code);
        assertThat(response.getStatus().getReason()).isEqualTo(reason);
        assertThat(response.getStatus().getMessage()).isEqualTo(message);
    }
}
