package dev.torpor.operator.restore;

import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.event.Publisher;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.VmPods;
import dev.torpor.operator.vm.VmUse;
import dev.torpor.operator.vm.Wakeups;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Brings VMRestores from one state to the next. Whatever woke it, it decides on what the API server says now. */
@ControllerConfiguration(name = "vmrestore", generationAwareEventProcessing = false)
public final class RestoreReconciler implements Reconciler<VMRestore> {
    private final KubernetesClient client;
    private final Publisher<VMRestore, VMRestoreStatus> publisher;
    private final AdmissionLock lock;
    private final InstantSource clock;
    private final RestoreObserver observer;
    private final RestoreActions actions;

    /**
     * @param stores the nodes' stores
     * @param lock shared with the controller of snapshots
     * @param steps hears of each step
     */
    public RestoreReconciler(
            KubernetesClient client,
            StatusWriter writer,
            EventRecorder events,
            Stores stores,
            AdmissionLock lock,
            InstantSource clock,
            StepHook steps) {
        VmPods pods = new VmPods(client);
        RecordedManifests manifests = new RecordedManifests(client);
        this.client = client;
        this.publisher = new Publisher<>(
                writer,
                events,
                steps,
                Step.RESTORE_PUBLISH,
                StatusOwner.RESTORE_OPERATOR,
                VMRestoreStatus::getPhase,
                VMRestoreStatus::getConditions);
        this.lock = lock;
        this.clock = clock;
        this.observer = new RestoreObserver(
                client,
                new RestoreAdmission(client, pods, manifests, new VmUse(client), stores),
                pods,
                manifests,
                stores);
        this.actions = new RestoreActions(client, pods, steps);
    }

    @Override
    public UpdateControl<VMRestore> reconcile(VMRestore woken, Context<VMRestore> context) {
        UpdateControl<VMRestore> done = UpdateControl.noUpdate();
        Duration lookAgain =
                step(woken.getMetadata().getNamespace(), woken.getMetadata().getName());
        return lookAgain == null ? done : done.rescheduleAfter(lookAgain.plusMillis(1));
    }

    /** Does one step, and returns after which time to look again at the latest, or null. */
    @Nullable
    Duration step(String namespace, String name) {
        VMRestore seen = read(namespace, name);
        if (seen == null) {
            return null;
        }
        if (!RestoreObserver.isUnbound(seen)) {
            return run(seen);
        }
        return lock.hold(namespace, () -> {
            VMRestore now = read(namespace, name);
            return now == null ? null : run(now);
        });
    }

    private @Nullable Duration run(VMRestore seen) {
        RestoreDecision decision = RestoreDecision.decide(seen, observer.observe(seen), clock.instant());
        try {
            actions.perform(seen, decision.action());
        } catch (TorporException e) {
            decision = RestoreDecision.decide(seen, RestoreSituation.of(e), clock.instant());
        }
        return publisher.publish(seen, decision.own(), decision.lookAgain(), decision.notice());
    }

    private @Nullable VMRestore read(String namespace, String name) {
        return client.resources(VMRestore.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
    }

    @Override
    public List<EventSource<?, VMRestore>> prepareEventSources(EventSourceContext<VMRestore> context) {
        return Wakeups.of(
                context,
                RestoreReconciler::keys,
                Wakeups.pods(vm -> "vm:" + vm),
                // A snapshot wakes the restores that name it, and those that wait for its VM.
                Wakeups.others(
                        VMSnapshot.class,
                        snapshot -> List.of("snapshot:" + snapshot.getMetadata().getName())));
    }

    private static List<String> keys(VMRestore restore) {
        String snapshot = "snapshot:" + restore.getSpec().snapshotName();
        return restore.getStatus() == null || restore.getStatus().getVmName() == null
                ? List.of(snapshot)
                : List.of(snapshot, "vm:" + restore.getStatus().getVmName());
    }
}
