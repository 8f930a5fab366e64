package dev.torpor.operator.death;

import dev.torpor.api.status.MergeStatusWriter;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.operator.drain.BudgetReconciler;
import dev.torpor.operator.drain.EvictionReview;
import dev.torpor.operator.drain.NodeReconciler;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.gate.GateReconciler;
import dev.torpor.operator.restore.RestoreReconciler;
import dev.torpor.operator.scaledown.ScaleDownReconciler;
import dev.torpor.operator.snapshot.SnapshotReconciler;
import dev.torpor.operator.snapshot.TerminationReconciler;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.AdmissionLock;
import dev.torpor.operator.vm.Stores;
import io.fabric8.kubernetes.api.model.DeleteOptions;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionReviewBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.EvictionBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.webhook.admission.AdmissionController;
import java.lang.reflect.Proxy;
import java.time.InstantSource;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One operator from its start to its end: all controllers and the webhook for evictions, with nothing but the API to know from. */
final class Life {
    private static final Logger LOG = LoggerFactory.getLogger(Life.class);

    private final KubernetesClient client;
    private final Reconciler<NodeStore> terminations;
    private final Reconciler<VMSnapshot> snapshots;
    private final Reconciler<VMRestore> restores;
    private final Reconciler<Pod> gates;
    private final Reconciler<Node> drains;
    private final Reconciler<Node> scaleDown;
    private final Reconciler<Namespace> budgets;
    private final Map<String, AdmissionController<KubernetesResource>> evictions;

    Life(KubernetesClient client, InstantSource clock, StepHook steps) {
        this.client = client;
        MergeStatusWriter writer = new MergeStatusWriter(client);
        EventRecorder events = new EventRecorder(client, clock);
        Stores stores = new Stores(client, "torpor-system", clock);
        AdmissionLock lock = new AdmissionLock();
        this.terminations = new TerminationReconciler(client, steps);
        this.snapshots = new SnapshotReconciler(client, writer, events, stores, lock, clock, steps);
        this.restores = new RestoreReconciler(client, writer, events, stores, lock, clock, steps);
        this.gates = new GateReconciler(client, events, steps);
        this.drains = new NodeReconciler(client, events, clock, steps);
        this.scaleDown = new ScaleDownReconciler(client, steps);
        this.budgets = new BudgetReconciler(client, events, _ -> true, steps);
        this.evictions = EvictionReview.controllers(client, "torpor-system", clock, steps);
    }

    /** Looks at each object once, in an order that is always the same. */
    void round() throws Exception {
        each(terminations, client.resources(NodeStore.class).list().getItems());
        each(
                snapshots,
                client.resources(VMSnapshot.class).inAnyNamespace().list().getItems());
        each(restores, client.resources(VMRestore.class).inAnyNamespace().list().getItems());
        each(
                gates,
                client.pods().inAnyNamespace().withLabel(Torpor.VM_LABEL).list().getItems());
        List<Node> nodes = client.nodes().list().getItems();
        each(drains, nodes);
        each(scaleDown, nodes);
        each(budgets, client.namespaces().list().getItems());
    }

    private <R extends HasMetadata> void each(Reconciler<R> reconciler, List<R> objects) throws Exception {
        Context<R> context = context();
        for (R object : objects.stream()
                .sorted(Comparator.comparing(each -> each.getMetadata().getName()))
                .toList()) {
            try {
                var _ = reconciler.reconcile(object, context);
            } catch (KubernetesClientException e) {
                // The framework tries it again, and so does the next round.
                LOG.debug("{}: {}", object.getMetadata().getName(), e.getMessage());
            }
        }
    }

    /** What the caches would have is read; nothing else of the framework is asked for. */
    @SuppressWarnings("unchecked")
    private <R extends HasMetadata> Context<R> context() {
        return (Context<R>) Proxy.newProxyInstance(
                Life.class.getClassLoader(), new Class<?>[] {Context.class}, (proxy, method, arguments) -> {
                    if (!method.getName().equals("getSecondaryResources")) {
                        throw new UnsupportedOperationException(method.toString());
                    }
                    Object kind = Objects.requireNonNull(arguments)[0];
                    if (kind == VMSnapshot.class) {
                        return new HashSet<>(client.resources(VMSnapshot.class)
                                .inAnyNamespace()
                                .list()
                                .getItems());
                    }
                    return kind == PodDisruptionBudget.class
                            ? new HashSet<>(client.policy()
                                    .v1()
                                    .podDisruptionBudget()
                                    .inAnyNamespace()
                                    .list()
                                    .getItems())
                            : new HashSet<>(client.pods()
                                    .inAnyNamespace()
                                    .withLabel(Torpor.VM_LABEL)
                                    .list()
                                    .getItems());
                });
    }

    /** Asks the webhook whether a pod may be evicted. */
    AdmissionResponse evict(String pod) {
        AdmissionRequest request = new AdmissionRequest();
        request.setUid("review");
        request.setOperation("CREATE");
        request.setNamespace("vms");
        request.setName(pod);
        request.setObject(
                new EvictionBuilder().withDeleteOptions(new DeleteOptions()).build());
        return Objects.requireNonNull(evictions.get(EvictionReview.PATH))
                .handle(new AdmissionReviewBuilder().withRequest(request).build())
                .getResponse();
    }
}
