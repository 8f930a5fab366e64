package dev.torpor.operator.snapshot;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.status.StatusOwner;
import dev.torpor.api.status.StatusWriter;
import dev.torpor.api.status.WriteResult;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.RecordedManifests;
import dev.torpor.operator.vm.SnapshotClasses;
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
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Brings VMSnapshots from one state to the next. Whatever woke it, it decides on what the API server says now. */
// On all events: else the framework leaves objects that are being deleted to whoever has a finalizer in its own way.
@ControllerConfiguration(
        name = "vmsnapshot",
        generationAwareEventProcessing = false,
        triggerReconcilerOnAllEvents = true)
public final class SnapshotReconciler implements Reconciler<VMSnapshot> {
    private static final Logger LOG = LoggerFactory.getLogger(SnapshotReconciler.class);
    /** The object changed while we decided: the event of that change comes too, this only makes sure. */
    private static final Duration STALE_INTERVAL = Duration.ofSeconds(1);

    private final KubernetesClient client;
    private final StatusWriter writer;
    private final EventRecorder events;
    private final AdmissionLock lock;
    private final InstantSource clock;
    private final SnapshotObserver observer;
    private final SnapshotActions actions;

    /**
     * @param stores the nodes' stores
     * @param lock shared with the controller of restores
     */
    public SnapshotReconciler(
            KubernetesClient client,
            StatusWriter writer,
            EventRecorder events,
            Stores stores,
            AdmissionLock lock,
            InstantSource clock) {
        VmPods pods = new VmPods(client);
        this.client = client;
        this.writer = writer;
        this.events = events;
        this.lock = lock;
        this.clock = clock;
        this.observer = new SnapshotObserver(
                client,
                new SnapshotAdmission(pods, new SnapshotClasses(client), new VmUse(client), stores),
                pods,
                stores);
        this.actions = new SnapshotActions(client, pods, new RecordedManifests(client));
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
        if (!SnapshotObserver.isUnbound(seen)) {
            return run(seen);
        }
        return lock.hold(namespace, () -> {
            VMSnapshot now = read(namespace, name);
            return now == null ? null : run(now);
        });
    }

    private @Nullable Duration run(VMSnapshot seen) {
        SnapshotDecision decision = SnapshotDecision.decide(seen, observer.observe(seen), clock.instant());
        actions.perform(seen, decision.action());
        return publish(seen, decision);
    }

    private @Nullable Duration publish(VMSnapshot seen, SnapshotDecision decision) {
        VMSnapshotStatus own = decision.own();
        if (own == null) {
            announce(seen, decision);
            return decision.lookAgain();
        }
        return switch (writer.transition(StatusOwner.SNAPSHOT_OPERATOR, seen, own)) {
            case WriteResult.Unchanged<VMSnapshot> _ -> decision.lookAgain();
            case WriteResult.Written<VMSnapshot> _ -> {
                if (isNews(seen.getStatus(), own)) {
                    announce(seen, decision);
                }
                yield decision.lookAgain();
            }
            case WriteResult.Stale<VMSnapshot>(String detail) -> {
                LOG.debug("{}: looking again: {}", ref(seen), detail);
                yield STALE_INTERVAL;
            }
            case WriteResult.Gone<VMSnapshot> _ -> null;
        };
    }

    private void announce(VMSnapshot seen, SnapshotDecision decision) {
        if (decision.notice() != null) {
            LOG.info(
                    "{}: {}: {}",
                    ref(seen),
                    decision.notice().reason(),
                    decision.notice().message());
            events.record(seen, decision.notice());
        }
    }

    private static boolean isNews(@Nullable VMSnapshotStatus before, VMSnapshotStatus after) {
        return before == null
                || before.getPhase() != after.getPhase()
                || !Objects.equals(
                        Conditions.reason(before.getConditions(), ConditionType.READY),
                        Conditions.reason(after.getConditions(), ConditionType.READY));
    }

    private @Nullable VMSnapshot read(String namespace, String name) {
        return client.resources(VMSnapshot.class)
                .inNamespace(namespace)
                .withName(name)
                .get();
    }

    private static String ref(VMSnapshot snapshot) {
        return "VMSnapshot %s/%s (%s)"
                .formatted(
                        snapshot.getMetadata().getNamespace(),
                        snapshot.getMetadata().getName(),
                        snapshot.getMetadata().getUid());
    }

    @Override
    public List<EventSource<?, VMSnapshot>> prepareEventSources(EventSourceContext<VMSnapshot> context) {
        return Wakeups.of(
                context,
                snapshot -> List.of(
                        "vm:" + snapshot.getSpec().vmName(),
                        "name:" + snapshot.getMetadata().getName()),
                Wakeups.pods(vm -> "vm:" + vm),
                Wakeups.<VMRestore>others(
                        VMRestore.class,
                        restore -> List.of("name:" + restore.getSpec().snapshotName())));
    }
}
