package dev.torpor.operator.drain;

import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.allowedAdmissionResponse;
import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.notAllowedExceptionToAdmissionResponse;

import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.Node;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.javaoperatorsdk.webhook.admission.AdmissionController;
import io.javaoperatorsdk.webhook.admission.AdmissionRequestHandler;
import io.javaoperatorsdk.webhook.admission.NotAllowedException;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Answers for {@code /validate-evictions}: has a VM saved that somebody evicts, and says how far that is. Served by every
 * replica: the name of a save is the same whoever makes it. Where nothing can be read, the eviction is left to the API
 * server and its PodDisruptionBudgets, which hold VM pods.
 */
public final class EvictionReview implements AdmissionRequestHandler {
    /** Name of the webhook in its configuration. */
    public static final String NAME = "evictions.torpor.dev";
    /** Where it is served. */
    public static final String PATH = "/validate-evictions";

    private static final Logger LOG = LoggerFactory.getLogger(EvictionReview.class);
    private static final String CLUSTER_NAMESPACE = "kube-system";

    private final KubernetesClient client;
    private final Set<String> exempt;
    private final DrainSaves saves;

    private EvictionReview(KubernetesClient client, String systemNamespace, InstantSource clock, StepHook steps) {
        this.client = client;
        this.exempt = Set.of(systemNamespace, CLUSTER_NAMESPACE);
        this.saves = new DrainSaves(client, clock, steps);
    }

    /**
     * Returns who answers at which path; may be asked by several threads.
     *
     * @param systemNamespace the operator's own, which is exempt
     * @param steps hears of each step
     */
    public static Map<String, AdmissionController<KubernetesResource>> controllers(
            KubernetesClient client, String systemNamespace, InstantSource clock, StepHook steps) {
        return Map.of(PATH, new AdmissionController<>(new EvictionReview(client, systemNamespace, clock, steps)));
    }

    @Override
    public AdmissionResponse handle(AdmissionRequest request) {
        EvictionRequest asked = EvictionRequest.of(request);
        if (exempt.contains(asked.namespace()) || asked.podName().isEmpty()) {
            return allowedAdmissionResponse();
        }
        return switch (answer(asked)) {
            case EvictionAnswer.Allow() -> allowedAdmissionResponse();
            case EvictionAnswer.Refuse(int code, String reason, String message) ->
                notAllowedExceptionToAdmissionResponse(new NotAllowedException(new StatusBuilder()
                        .withCode(code)
                        .withReason(reason)
                        .withMessage(message)
                        .build()));
        };
    }

    private EvictionAnswer answer(EvictionRequest asked) {
        Pod pod;
        try {
            pod = client.pods()
                    .inNamespace(asked.namespace())
                    .withName(asked.podName())
                    .get();
        } catch (KubernetesClientException e) {
            LOG.warn(
                    "eviction of {}/{} is left to the API server, as the pod cannot be read: {}",
                    asked.namespace(),
                    asked.podName(),
                    e.getMessage());
            return new EvictionAnswer.Allow();
        }
        Optional<EvictionAnswer> answer = EvictionDecision.byPod(pod, asked);
        if (answer.isPresent()) {
            return answer.get();
        }
        try {
            return saved(pod, asked.dryRun());
        } catch (KubernetesClientException e) {
            LOG.warn("eviction of {}/{}: {}", asked.namespace(), asked.podName(), e.getMessage());
            return EvictionAnswer.wait(
                    "torpor: the API server does not tell or take what is needed to save VM %s, which runs on: %s"
                            .formatted(DrainSaves.vmOf(pod).name(), e.getMessage()));
        }
    }

    private EvictionAnswer saved(Pod pod, boolean dryRun) {
        String nodeName = pod.getSpec().getNodeName();
        Node node = client.nodes().withName(nodeName).get();
        SaveStep step = saves.look(pod);
        SaveWords words = SaveWords.of(pod, save -> saves.othersOfNode(save, nodeName));
        Optional<NodeRemoval> removal = NodeRemoval.of(step, node, saves::onNodeRemoval);
        EvictionAnswer answer = EvictionDecision.bySave(pod, step, removal, words, dryRun);
        if (!dryRun && step instanceof SaveStep.Begin(int attempt, Optional<String> _)) {
            if (removal.isEmpty()) {
                saves.begin(pod, DrainCause.ofEviction(node), attempt);
            } else if (removal.get().shutDown()) {
                saves.orderShutdown(pod, attempt);
            }
        }
        return answer;
    }
}
