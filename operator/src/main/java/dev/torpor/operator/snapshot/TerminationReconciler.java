package dev.torpor.operator.snapshot;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.Terminations;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Makes a VMSnapshot for each VM that an agent saves or saved by itself, and for each file that was imported on a node. As early as it can: while the pod is still there,
 * a bare one's manifest can be recorded. From then on the snapshot is like any other of mode ManagedSave.
 */
@ControllerConfiguration(name = "nodestore", generationAwareEventProcessing = false)
public final class TerminationReconciler implements Reconciler<NodeStore> {
    private static final Logger LOG = LoggerFactory.getLogger(TerminationReconciler.class);
    private static final Duration LOOK_AGAIN = Duration.ofMinutes(1);

    private final KubernetesClient client;
    private final StepHook steps;

    /**
     * @param steps hears of each step
     */
    public TerminationReconciler(KubernetesClient client, StepHook steps) {
        this.client = client;
        this.steps = steps;
    }

    @Override
    public UpdateControl<NodeStore> reconcile(NodeStore woken, Context<NodeStore> context) {
        UpdateControl<NodeStore> done = UpdateControl.noUpdate();
        return step(woken.getMetadata().getName()) ? done.rescheduleAfter(LOOK_AGAIN) : done;
    }

    /**
     * Does one step: on what the API server says now, as an image that was told of a moment ago may be resumed already.
     *
     * @return whether to look again though nothing changes here: a VMSnapshot may be refused for now, or be deleted
     */
    boolean step(String name) {
        NodeStore store = client.resources(NodeStore.class).withName(name).get();
        boolean again = false;
        for (TerminationSave save : store == null ? List.<TerminationSave>of() : Terminations.savesOf(store)) {
            again |= mirror(save);
        }
        return again;
    }

    private boolean mirror(TerminationSave save) {
        String vm = save.vmName();
        if (vm == null || save.podUID() == null) {
            return false; // not what an agent of ours writes
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
            steps.take(Step.TERMINATION_MIRROR, () -> client.resource(snapshot).create());
            LOG.info(
                    "VMSnapshot {}/{}: made for {}",
                    save.namespace(),
                    save.snapshotName(),
                    imported ? "a file that was imported" : "a VM whose pod was terminated");
        } catch (KubernetesClientException e) {
            switch (e.getCode()) {
                case HttpURLConnection.HTTP_CONFLICT -> requireOurs(save);
                case HttpURLConnection.HTTP_NOT_FOUND -> {
                    LOG.warn(
                            "namespace {} is gone, and with it whoever could start VM {}: its image stays on its node",
                            save.namespace(),
                            vm);
                    return false;
                }
                case HttpURLConnection.HTTP_FORBIDDEN ->
                    LOG.warn("VMSnapshot {}/{}: {}", save.namespace(), save.snapshotName(), e.getMessage());
                default -> throw e;
            }
        }
        return true;
    }

    /** It is there already; or somebody else has the name, and the VM is held, until that one is gone. */
    private void requireOurs(TerminationSave save) {
        VMSnapshot there = client.resources(VMSnapshot.class)
                .inNamespace(save.namespace())
                .withName(save.snapshotName())
                .get();
        if (there != null && !Terminations.standsFor(there, save)) {
            LOG.warn(
                    "VMSnapshot {}/{} is not of the image {} that has its name: the VM is held until it is deleted",
                    save.namespace(),
                    save.snapshotName(),
                    save.image());
        }
    }
}
