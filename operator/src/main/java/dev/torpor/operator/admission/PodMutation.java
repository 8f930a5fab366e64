package dev.torpor.operator.admission;

import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.admissionResponseFromMutation;
import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.allowedAdmissionResponse;
import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.notAllowedExceptionToAdmissionResponse;

import dev.torpor.operator.vm.LauncherWiring;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.PodGate;
import io.fabric8.kubernetes.api.model.Namespace;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.javaoperatorsdk.webhook.admission.AdmissionRequestHandler;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Answers for {@code /mutate-pods}: the pod of a VM gets the launcher, or the reason why it cannot. It keeps the launcher
 * when its manifest, which does not speak of it, is applied again: the API server would refuse that change of the command.
 */
final class PodMutation implements AdmissionRequestHandler {
    private static final String ENFORCED_STANDARD = "pod-security.kubernetes.io/enforce";
    private static final Set<String> WITHOUT_HOST_PATHS = Set.of("baseline", "restricted");

    private final Scope scope;
    private final LauncherInjection injection;
    private final LiveReads reads;

    PodMutation(Scope scope, InjectionSettings settings, LiveReads reads) {
        this.scope = scope;
        this.injection = new LauncherInjection(settings);
        this.reads = reads;
    }

    @Override
    public AdmissionResponse handle(AdmissionRequest request) {
        return scope.vmPod(request)
                .filter(asked -> asked.vmLabel().isPresent())
                .map(asked -> asked.before().isEmpty() ? created(asked) : changed(asked))
                .orElseGet(() -> allowedAdmissionResponse());
    }

    private AdmissionResponse changed(PodRequest asked) {
        return asked.before()
                        .filter(before -> LauncherWiring.lacks(before).isEmpty())
                        .isPresent()
                ? answer(asked.pod(), injection.inject(asked, false))
                : allowedAdmissionResponse();
    }

    private AdmissionResponse created(PodRequest asked) {
        Optional<Denial> denial = PodRules.check(asked);
        if (denial.isPresent()) {
            return denied(denial.get());
        }
        try {
            Pod injected = injection.inject(asked, injection.wantsImages(asked) && allowsHostPaths(asked.namespace()));
            Optional<ManagedImages.Holding> saved = reads.holding(asked.vm());
            if (saved.isEmpty()) {
                return answer(asked.pod(), injected);
            }
            if (asked.pod().getSpec().getNodeName() != null) {
                return denied(boundByHand(asked, saved.get()));
            }
            return answer(asked.pod(), PodGate.hold(injected, saved.get().nodeName()));
        } catch (LiveReads.UnavailableException e) {
            return denied(Denial.unavailable(
                    "VM pod %s: %s. Try again; nothing was created.".formatted(asked.name(), e.getMessage())));
        }
    }

    // A pod that names its node passes the scheduler by, and with it the gate.
    private static Denial boundByHand(PodRequest asked, ManagedImages.Holding saved) {
        return Denial.conflict(
                "VM %s is saved: VMSnapshot %s has its memory, on node %s. Pod %s names its node itself and could not be held for it: leave spec.nodeName out."
                        .formatted(asked.vm(), saved.snapshotName(), saved.nodeName(), asked.name()));
    }

    private static AdmissionResponse answer(Pod asked, Pod injected) {
        return injected.equals(asked) ? allowedAdmissionResponse() : admissionResponseFromMutation(asked, injected);
    }

    private boolean allowsHostPaths(String namespace) throws LiveReads.UnavailableException {
        Map<String, String> labels = reads.namespace(namespace)
                .map(Namespace::getMetadata)
                .map(metadata -> metadata.getLabels())
                .orElse(Map.of());
        return !WITHOUT_HOST_PATHS.contains(labels.getOrDefault(ENFORCED_STANDARD, ""));
    }

    private static AdmissionResponse denied(Denial denial) {
        return notAllowedExceptionToAdmissionResponse(denial.exception());
    }
}
