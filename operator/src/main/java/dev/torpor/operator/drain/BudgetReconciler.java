package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.event.EventReason;
import dev.torpor.operator.event.EventRecorder;
import dev.torpor.operator.event.Notice;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudget;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.operator.api.config.informer.InformerEventSourceConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.Context;
import io.javaoperatorsdk.operator.api.reconciler.ControllerConfiguration;
import io.javaoperatorsdk.operator.api.reconciler.EventSourceContext;
import io.javaoperatorsdk.operator.api.reconciler.Reconciler;
import io.javaoperatorsdk.operator.api.reconciler.UpdateControl;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import io.javaoperatorsdk.operator.processing.event.source.EventSource;
import io.javaoperatorsdk.operator.processing.event.source.informer.InformerEventSource;
import java.net.HttpURLConnection;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps one PodDisruptionBudget in each namespace with VMs, and removes it with the last of them. Where evictions are never
 * brought to the webhook it would hold up drains for ever: none is kept there. Nor is one made while the webhook is away, as
 * after an uninstall began.
 */
@ControllerConfiguration(name = "budget", generationAwareEventProcessing = false)
public final class BudgetReconciler implements Reconciler<Namespace> {
    private static final Logger LOG = LoggerFactory.getLogger(BudgetReconciler.class);
    private static final String WEBHOOKS = "torpor";
    /** The configuration of webhooks is not watched. */
    private static final Duration UNANSWERED_INTERVAL = Duration.ofMinutes(1);

    private final KubernetesClient client;
    private final EventRecorder events;
    private final Predicate<String> answered;
    private final StepHook steps;

    /**
     * @param answered whether evictions of a namespace are brought to the webhook
     * @param steps hears of each step
     */
    public BudgetReconciler(KubernetesClient client, EventRecorder events, Predicate<String> answered, StepHook steps) {
        this.client = client;
        this.events = events;
        this.answered = answered;
        this.steps = steps;
    }

    @Override
    public UpdateControl<Namespace> reconcile(Namespace woken, Context<Namespace> context) {
        // Most namespaces have no VMs: they cost no request.
        boolean concerned = !context.getSecondaryResources(Pod.class).isEmpty()
                || context.getSecondaryResources(PodDisruptionBudget.class).stream()
                        .anyMatch(VmBudgets::isOurs);
        UpdateControl<Namespace> done = UpdateControl.noUpdate();
        return concerned
                        && woken.getMetadata().getDeletionTimestamp() == null
                        && !step(woken.getMetadata().getName())
                ? done.rescheduleAfter(UNANSWERED_INTERVAL)
                : done;
    }

    /** Looks at a namespace and mends it; returns false if that has to wait for the webhook. */
    boolean step(String namespace) {
        List<Pod> vmPods = !answered.test(namespace)
                ? List.of()
                : client.pods()
                        .inNamespace(namespace)
                        .withLabel(Torpor.VM_LABEL)
                        .list()
                        .getItems();
        var budgets = client.policy().v1().podDisruptionBudget().inNamespace(namespace);
        BudgetDecision decision = BudgetDecision.decide(vmPods, budgets.list().getItems());
        boolean done = perform(namespace, decision.change());
        for (BudgetDecision.Warning warning : decision.warnings()) {
            LOG.warn("namespace {}: {}", namespace, warning.message());
            events.record(warning.about(), new Notice(EventReason.SecondBudget, warning.message()));
        }
        return done;
    }

    private boolean perform(String namespace, BudgetDecision.Change change) {
        var budgets = client.policy().v1().podDisruptionBudget().inNamespace(namespace);
        try {
            switch (change) {
                case BudgetDecision.Change.Nothing() -> {}
                case BudgetDecision.Change.Create() -> {
                    if (!evictionsAreAnswered()) {
                        return false;
                    }
                    steps.take(Step.BUDGET_CREATE, () -> budgets.resource(VmBudgets.make(namespace))
                            .create());
                    LOG.info("namespace {}: PodDisruptionBudget {} made", namespace, VmBudgets.NAME);
                }
                case BudgetDecision.Change.Repair(PodDisruptionBudget budget) -> {
                    if (!evictionsAreAnswered()) {
                        return false;
                    }
                    PodDisruptionBudget mended = new PodDisruptionBudgetBuilder(budget)
                            .withSpec(VmBudgets.spec())
                            .build();
                    steps.take(
                            Step.BUDGET_REPAIR, () -> budgets.resource(mended).update());
                    LOG.info("namespace {}: PodDisruptionBudget {} mended", namespace, VmBudgets.NAME);
                }
                case BudgetDecision.Change.Remove(PodDisruptionBudget budget) -> {
                    steps.take(Step.BUDGET_REMOVE, () -> budgets.withName(VmBudgets.NAME)
                            .lockResourceVersion(budget.getMetadata().getResourceVersion())
                            .delete());
                    LOG.info("namespace {}: PodDisruptionBudget {} removed", namespace, VmBudgets.NAME);
                }
            }
        } catch (KubernetesClientException e) {
            // Somebody was faster, or the namespace ends: the event of that comes too.
            if (e.getCode() != HttpURLConnection.HTTP_CONFLICT && e.getCode() != HttpURLConnection.HTTP_NOT_FOUND) {
                throw e;
            }
        }
        return true;
    }

    private boolean evictionsAreAnswered() {
        var configuration = client.admissionRegistration()
                .v1()
                .validatingWebhookConfigurations()
                .withName(WEBHOOKS)
                .get();
        return configuration != null
                && configuration.getWebhooks().stream()
                        .anyMatch(webhook -> EvictionReview.NAME.equals(webhook.getName()));
    }

    @Override
    public List<EventSource<?, Namespace>> prepareEventSources(EventSourceContext<Namespace> context) {
        return List.of(
                new InformerEventSource<>(
                        InformerEventSourceConfiguration.from(Pod.class, Namespace.class)
                                .withLabelSelector(Torpor.VM_LABEL)
                                .withSecondaryToPrimaryMapper(BudgetReconciler::namespaceOf)
                                .build(),
                        context),
                new InformerEventSource<>(
                        InformerEventSourceConfiguration.from(PodDisruptionBudget.class, Namespace.class)
                                .withSecondaryToPrimaryMapper(BudgetReconciler::namespaceOf)
                                .build(),
                        context));
    }

    private static Set<ResourceID> namespaceOf(HasMetadata object) {
        return Set.of(new ResourceID(object.getMetadata().getNamespace()));
    }
}
