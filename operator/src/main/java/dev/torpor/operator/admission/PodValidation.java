package dev.torpor.operator.admission;

import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.allowedAdmissionResponse;
import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.notAllowedExceptionToAdmissionResponse;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.VmPods;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.javaoperatorsdk.webhook.admission.AdmissionRequestHandler;
import java.util.List;
import java.util.Objects;
import java.util.Optional;

/**
 * Answers for {@code /validate-pods}, with the pod as all mutating webhooks left it: a VM has one live pod, and keeps its
 * name for as long as that lives. Two pods that are created in the same moment may both pass: VMSnapshots then wait with
 * MultipleLivePods until one is left.
 */
final class PodValidation implements AdmissionRequestHandler {
    private final Scope scope;
    private final LiveReads reads;

    PodValidation(Scope scope, LiveReads reads) {
        this.scope = scope;
        this.reads = reads;
    }

    @Override
    public AdmissionResponse handle(AdmissionRequest request) {
        return scope.vmPod(request)
                .map(asked -> asked.before().isEmpty() ? created(asked) : changed(asked))
                .orElseGet(() -> allowedAdmissionResponse());
    }

    private AdmissionResponse created(PodRequest asked) {
        return PodRules.check(asked)
                .or(() -> secondLivePod(asked))
                .map(PodValidation::denied)
                .orElseGet(() -> allowed(PodWarnings.of(asked)));
    }

    private AdmissionResponse changed(PodRequest asked) {
        Optional<String> before = asked.labelBefore();
        Optional<String> after = asked.vmLabel();
        if (before.equals(after)) {
            return allowedAdmissionResponse();
        }
        if (after.isEmpty()) {
            return allowed(List.of(
                    "VM pod %s loses its label %s: its QEMU goes on running, but the VM cannot be saved and another pod may start it a second time."
                            .formatted(asked.name(), Torpor.VM_LABEL)));
        }
        if (before.isPresent()) {
            return denied(Denial.forbidden(
                    "Pod %s is VM '%s' and cannot become VM '%s' while it lives: images and the node's records are kept by that name. Delete the pod and create it with the other label."
                            .formatted(asked.name(), before.get(), after.get())));
        }
        return secondLivePod(asked)
                .map(PodValidation::denied)
                .orElseGet(
                        () -> allowed(
                                asked.isWired()
                                        ? List.of()
                                        : List.of(
                                                PodWarnings.notInjected(
                                                        asked,
                                                        "the label came after the pod, and only a new pod can be given the launcher; create it anew"))));
    }

    private Optional<Denial> secondLivePod(PodRequest asked) {
        try {
            return reads.livePods(asked.vm()).stream()
                    .filter(live -> !isTheSame(live, asked.pod()))
                    .findFirst()
                    .map(live -> Denial.conflict(
                            "VM %s has a live pod already: %s%s. A VM runs once: pod %s can be created when that one is gone."
                                    .formatted(
                                            asked.vm(),
                                            live.getMetadata().getName(),
                                            VmPods.isTerminating(live) ? ", which is being deleted" : "",
                                            asked.name())));
        } catch (LiveReads.UnavailableException e) {
            return Optional.of(Denial.unavailable(
                    "VM pod %s: whether its VM has a live pod is not known, %s. Try again; nothing was created."
                            .formatted(asked.name(), e.getMessage())));
        }
    }

    // Of two pods of one name the API server refuses the second one itself, and in a way that controllers understand.
    private static boolean isTheSame(Pod live, Pod asked) {
        return Objects.equals(live.getMetadata().getName(), asked.getMetadata().getName());
    }

    private static AdmissionResponse allowed(List<String> warnings) {
        AdmissionResponse response = allowedAdmissionResponse();
        response.setWarnings(warnings);
        return response;
    }

    private static AdmissionResponse denied(Denial denial) {
        return notAllowedExceptionToAdmissionResponse(denial.exception());
    }
}
