package dev.torpor.operator.snapshot;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.SnapshotClasses;
import dev.torpor.operator.vm.TestCluster;
import dev.torpor.operator.vm.TestPods;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the controller makes for a snapshot does not pass for what made the snapshot: it would be pruned with it, or for it. */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class BorrowedMarksTest {
    private static final Map<String, String> TRACKING = Map.of(
            "app.kubernetes.io/instance", "shop",
            "argocd.argoproj.io/instance", "shop",
            "kustomize.toolkit.fluxcd.io/name", "shop",
            "velero.io/backup-name", "monday");

    private KubernetesMockServer server;
    private KubernetesClient client;
    private SnapshotActions actions;
    private VMSnapshot snapshot;

    @BeforeEach
    void trackTheSnapshot() {
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMSnapshot.class));
        server.expectCustomResource(CustomResourceDefinitionContext.fromCustomResourceType(VMRestore.class));
        TestCluster cluster = new TestCluster(client);
        actions = new SnapshotActions(
                client,
                new VmPods(client),
                new RecordedManifests(client),
                new VolumeSnapshots(client, new SnapshotClasses(client), StepHook.NONE),
                new EventRecorder(client, cluster.clock()),
                StepHook.NONE);
        snapshot = cluster.snapshot("web-1", SaveMode.ManagedSave);
        snapshot.getMetadata().setLabels(TRACKING);
        snapshot.getMetadata().setAnnotations(Map.of("argocd.argoproj.io/tracking-id", "shop"));
    }

    @Test
    void restoreThatStartsAVmHasNone() throws Exception {
        actions.perform(snapshot, new SnapshotAction.StartRestore("n1", "web-1-start-1"));

        assertOurs(
                client.resources(VMRestore.class)
                        .inNamespace("vms")
                        .withName("web-1-start-1")
                        .get(),
                List.of());
    }

    @Test
    void recordOfAPodHasNone() throws Exception {
        Pod pod = TestPods.running("web-pod", "u1")
                .editMetadata()
                .addToLabels(TRACKING)
                .endMetadata()
                .build();
        actions.perform(snapshot, new SnapshotAction.RecordManifest(pod));

        assertOurs(
                client.apps()
                        .controllerRevisions()
                        .inNamespace("vms")
                        .withName(RecordedManifests.nameFor(snapshot, VmPods.nameOf(pod)))
                        .get(),
                List.of(Torpor.VM_LABEL));
    }

    private static void assertOurs(HasMetadata made, List<String> labels) {
        assertThat(made.getMetadata().getLabels().keySet()).containsExactlyInAnyOrderElementsOf(labels);
        assertThat(made.getMetadata().getAnnotations().keySet()).allMatch(key -> key.startsWith("torpor.dev/"));
    }
}
