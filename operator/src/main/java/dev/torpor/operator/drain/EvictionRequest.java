package dev.torpor.operator.drain;

import io.fabric8.kubernetes.api.model.DeleteOptions;
import io.fabric8.kubernetes.api.model.Preconditions;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionRequest;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * An eviction that somebody asks for.
 *
 * @param podUid the instance that is meant, if that was said
 * @param dryRun whether nothing must be done. Of kubectl drain only the body tells, not the request
 */
record EvictionRequest(String namespace, String podName, Optional<String> podUid, boolean dryRun) {
    private static final String DRY_RUN_ALL = "All";

    static EvictionRequest of(AdmissionRequest request) {
        Optional<DeleteOptions> options = options(request.getObject());
        return new EvictionRequest(
                Objects.requireNonNullElse(request.getNamespace(), ""),
                Objects.requireNonNullElse(request.getName(), ""),
                options.map(DeleteOptions::getPreconditions).map(Preconditions::getUid),
                Boolean.TRUE.equals(request.getDryRun())
                        || options.map(DeleteOptions::getDryRun)
                                .filter(values -> values.contains(DRY_RUN_ALL))
                                .isPresent());
    }

    // Clients may still send the older version of the body.
    private static Optional<DeleteOptions> options(@Nullable Object body) {
        return switch (body) {
            case io.fabric8.kubernetes.api.model.policy.v1.Eviction eviction ->
                Optional.ofNullable(eviction.getDeleteOptions());
            case io.fabric8.kubernetes.api.model.policy.v1beta1.Eviction eviction ->
                Optional.ofNullable(eviction.getDeleteOptions());
            case null, default -> Optional.empty();
        };
    }
}
