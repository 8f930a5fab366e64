package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.operator.vm.Terminations;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import java.net.HttpURLConnection;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes a VMSnapshot for each VM that an agent saves or saved by itself, and for each file that was imported on a node. As early as it can: while the pod is still there,
 * a bare one's manifest can be recorded. From then on the snapshot is like any other of mode ManagedSave.
 */
@ControllerConfiguration(name = "nodestore", generationAwareEventProcessing = false)
public final class TerminationReconciler implements Reconciler<NodeStore> {
    private static final Logger LOG = LoggerFactory.getLogger(TerminationReconciler.class);

    private final KubernetesClient client;

    public TerminationReconciler(KubernetesClient client) {
        this.client = client;
    }

    @Override
    public UpdateControl<NodeStore> reconcile(NodeStore woken, Context<NodeStore> context) {
        step(woken.getMetadata().getName());
        return UpdateControl.noUpdate();
    }

    /** Does one step: on what the API server says now, as an image that was told of a moment ago may be resumed already. */
    void step(String name) {
        NodeStore store = client.resources(NodeStore.class).withName(name).get();
        if (store != null) {
            Terminations.savesOf(store).forEach(this::mirror);
        }
    }

    private void mirror(TerminationSave save) {
        String vm = save.vmName();
        if (vm == null || save.podUID() == null) {
            return; // not what an agent of ours writes
        }
        boolean imported = Boolean.TRUE.equals(save.imported());
        VMSnapshot snapshot = new VMSnapshot();
        snapshot.setMetadata(new ObjectMetaBuilder()
                .withNamespace(save.namespace())
                .withName(save.snapshotName())
                .addToAnnotations(
                        Torpor.CREATED_BY_ANNOTATION,
                        imported ? Torpor.CREATED_BY_IMPORT : Torpor.CREATED_BY_TERMINATION)
                .build());
        snapshot.setSpec(new VMSnapshotSpec(
                vm,
                SaveMode.ManagedSave,
                null,
                new SourceSpec(save.podUID(), save.image()),
                null,
                null,
                null,
                null,
                ResumePolicy.WhenReady,
                null));
        try {
            client.resource(snapshot).create();
            LOG.info(
                    "VMSnapshot {}/{}: made for {}",
                    save.namespace(),
                    save.snapshotName(),
                    imported ? "a file that was imported" : "a VM whose pod was terminated");
        } catch (KubernetesClientException e) {
            switch (e.getCode()) {
                case HttpURLConnection.HTTP_CONFLICT -> {} // there already
                case HttpURLConnection.HTTP_NOT_FOUND ->
                    LOG.warn(
                            "namespace {} is gone, and with it whoever could start VM {}: its image stays on its node",
                            save.namespace(),
                            vm);
                case HttpURLConnection.HTTP_FORBIDDEN ->
                    LOG.warn("VMSnapshot {}/{}: {}", save.namespace(), save.snapshotName(), e.getMessage());
                default -> throw e;
            }
        }
    }
}
