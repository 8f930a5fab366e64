package dev.torpor.operator.admission;

import static io.javaoperatorsdk.webhook.admission.AdmissionUtils.allowedAdmissionResponse;

import dev.torpor.operator.vm.Rollout;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.OwnerReferenceBuilder;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodTemplateSpec;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.api.model.apps.DaemonSet;
import io.fabric8.kubernetes.api.model.apps.Deployment;
import io.fabric8.kubernetes.api.model.apps.ReplicaSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSet;
import io.fabric8.kubernetes.api.model.apps.StatefulSetSpec;
import io.javaoperatorsdk.webhook.admission.AdmissionRequestHandler;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Answers for {@code /validate-workloads}: what is said of pods that a controller creates is read by nobody, so it is said
 * of the controller, while its author looks. Only warns: a workload that is refused would break a rollout of something else.
 */
final class WorkloadValidation implements AdmissionRequestHandler {
    private final Scope scope;

    WorkloadValidation(Scope scope) {
        this.scope = scope;
    }

    @Override
    public AdmissionResponse handle(AdmissionRequest request) {
        AdmissionResponse response = allowedAdmissionResponse();
        if (scope.covers(request) && request.getObject() instanceof HasMetadata workload) {
            response.setWarnings(template(workload)
                    .map(template -> asPod(request.getNamespace(), workload, template))
                    .filter(pod -> pod.vmLabel().isPresent())
                    .map(pod -> warnings(workload, pod))
                    .orElse(List.of()));
        }
        return response;
    }

    private static Optional<PodTemplateSpec> template(KubernetesResource workload) {
        return switch (workload) {
            case StatefulSet set -> Optional.ofNullable(set.getSpec().getTemplate());
            case Deployment deployment ->
                Optional.ofNullable(deployment.getSpec().getTemplate());
            // That of a Deployment was warned of there.
            case ReplicaSet set
            when set.getMetadata().getOwnerReferences().isEmpty() ->
                Optional.ofNullable(set.getSpec().getTemplate());
            case DaemonSet set -> Optional.ofNullable(set.getSpec().getTemplate());
            default -> Optional.empty();
        };
    }

    private static PodRequest asPod(String namespace, HasMetadata workload, PodTemplateSpec template) {
        var metadata = (template.getMetadata() == null
                        ? new ObjectMetaBuilder()
                        : new ObjectMetaBuilder(template.getMetadata()))
                .withGenerateName(workload.getMetadata().getName() + "-")
                .withOwnerReferences(new OwnerReferenceBuilder()
                        .withKind(workload.getKind())
                        .withName(workload.getMetadata().getName())
                        .withController(true)
                        .build())
                .build();
        return new PodRequest(
                namespace,
                new PodBuilder()
                        .withMetadata(metadata)
                        .withSpec(template.getSpec())
                        .build(),
                Optional.empty());
    }

    private static List<String> warnings(HasMetadata workload, PodRequest pod) {
        Optional<Denial> denial = PodRules.check(pod);
        if (denial.isPresent()) {
            return List.of("No pod of this %s will be created. %s"
                    .formatted(workload.getKind(), denial.get().message()));
        }
        List<String> warnings = new ArrayList<>();
        if (workload instanceof StatefulSet set) {
            statefulSet(set.getMetadata().getName(), set.getSpec(), warnings);
        }
        warnings.addAll(PodWarnings.of(pod));
        return warnings;
    }

    private static void statefulSet(String name, StatefulSetSpec spec, List<String> warnings) {
        if (spec.getReplicas() != null && spec.getReplicas() > 1) {
            warnings.add(
                    "StatefulSet %s has replicas: %d, but its pods are one VM, and a VM has one live pod: all but the first will be refused. Make one StatefulSet for each VM, with replicas: 1."
                            .formatted(name, spec.getReplicas()));
        }
        if (Rollout.reachesFirst(spec)) {
            warnings.add(
                    "StatefulSet %s has updateStrategy RollingUpdate: a change of its template kills the VM, or does so seconds after it was resumed. Set updateStrategy: {type: OnDelete}."
                            .formatted(name));
        }
        if ("Parallel".equals(spec.getPodManagementPolicy())) {
            warnings.add(
                    "StatefulSet %s has podManagementPolicy Parallel: a change of its template replaces the pod even while its VM is being resumed. Use OrderedReady."
                            .formatted(name));
        }
    }
}
