package dev.torpor.operator.snapshot;

import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.event.Publisher;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.Claims;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.SnapshotClasses;
import dev.torpor.operator.vm.StartChecks;
import dev.torpor.operator.vm.StoreState;
import dev.torpor.operator.vm.Stores;
import dev.torpor.operator.vm.Terminations;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Brings VMSnapshots from one state to the next. Whatever woke it, it decides on what the API server says now. */
// On all events: else the framework leaves objects that are being deleted to whoever has a finalizer in its own way.
@ControllerConfiguration(
        name = "vmsnapshot",
        generationAwareEventProcessing = false,
        triggerReconcilerOnAllEvents = true)
public final class SnapshotReconciler implements Reconciler<VMSnapshot> {
    private final KubernetesClient client;
    private final Publisher<VMSnapshot, VMSnapshotStatus> publisher;
    private final AdmissionLock lock;
    private final InstantSource clock;
    private final SnapshotObserver observer;
    private final SnapshotActions actions;

    /**
     * @param stores the nodes' stores
     * @param lock shared with the controller of restores
     * @param steps hears of each step
     */
    public SnapshotReconciler(
            KubernetesClient client,
            StatusWriter writer,
            EventRecorder events,
            Stores stores,
            AdmissionLock lock,
            InstantSource clock,
            StepHook steps) {
        VmPods pods = new VmPods(client);
        RecordedManifests manifests = new RecordedManifests(client);
        SnapshotClasses classes = new SnapshotClasses(client);
        VolumeSnapshots volumeSnapshots = new VolumeSnapshots(client, classes, steps);
        this.client = client;
        this.publisher = new Publisher<>(
                writer,
                events,
                steps,
                Step.SNAPSHOT_PUBLISH,
                StatusOwner.SNAPSHOT_OPERATOR,
                VMSnapshotStatus::getPhase,
                VMSnapshotStatus::getConditions);
        this.lock = lock;
        this.clock = clock;
        this.observer = new SnapshotObserver(
                client,
                new SnapshotAdmission(
                        pods,
                        classes,
                        new VmUse(client),
                        stores,
                        new ManagedImages(client),
                        new Terminations(client),
                        new Claims(client),
                        volumeSnapshots),
                pods,
                stores,
                volumeSnapshots,
                new ManagedStart(
                        pods, manifests, new StartChecks(client, manifests, stores), new StartQueue(client), clock));
        this.actions = new SnapshotActions(client, pods, manifests, volumeSnapshots, events, steps);
    }

    @Override
    public UpdateControl<VMSnapshot> reconcile(VMSnapshot woken, Context<VMSnapshot> context) {
        UpdateControl<VMSnapshot> done = UpdateControl.noUpdate();
        Duration lookAgain =
                step(woken.getMetadata().getNamespace(), woken.getMetadata().getName());
        return lookAgain == null ? done : done.rescheduleAfter(lookAgain.plusMillis(1));
    }

    /** Does one step, and returns after which time to look again at the latest, or null. */
    @Nullable
    Duration step(String namespace, String name) {
        VMSnapshot seen = read(namespace, name);
        if (seen == null) {
            return null;
        }
        if (SnapshotObserver.mayStart(seen)) {
            return lock.hold("start", () -> again(namespace, name));
        }
        return SnapshotObserver.isUnbound(seen) ? lock.hold(namespace, () -> again(namespace, name)) : run(seen);
    }

    private @Nullable Duration again(String namespace, String name) {
        VMSnapshot now = read(namespace, name);
        return now == null ? null : run(now);
    }

    private @Nullable Duration run(VMSnapshot seen) {
        SnapshotSituation situation = observer.observe(seen);
        SnapshotDecision decision = SnapshotDecision.decide(seen, situation, clock.instant());
        try {
            actions.perform(seen, decision.action());
        } catch (TorporException e) {
            decision = SnapshotDecision.decide(seen, refused(situation, e), clock.instant());
        }
        return publisher.publish(seen, decision.own(), decision.lookAgain(), decision.notice());
    }

    private static SnapshotSituation refused(SnapshotSituation situation, TorporException e) {
        String message = Objects.requireNonNullElse(e.getMessage(), "");
        return situation instanceof SnapshotSituation.InWork(StoreState store, Cuts cuts)
                ? new SnapshotSituation.InWork(store, cuts.refused(message))
                : new SnapshotSituation.Held(
                        e.reason().name(), message, Optional.empty(), SnapshotDecision.NODE_INTERVAL);
    }

    private @Nullable VMSnapshot read(String namespace, String name) {
        return client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
    }

    @Override
    public List<EventSource<?, VMSnapshot>> prepareEventSources(EventSourceContext<VMSnapshot> context) {
        List<EventSource<?, VMSnapshot>> sources = new ArrayList<>(Wakeups.of(
                context,
                snapshot -> List.of(
                        "vm:" + snapshot.getSpec().vmName(),
                        "name:" + snapshot.getMetadata().getName()),
                Wakeups.pods(vm -> "vm:" + vm),
                Wakeups.<VMRestore>others(
                        VMRestore.class,
                        restore -> List.of("name:" + restore.getSpec().snapshotName()))));
        sources.add(Wakeups.nodes(
                context,
                snapshot -> snapshot.getStatus() == null
                        ? null
                        : snapshot.getStatus().getNodeName()));
        return sources;
    }
}
