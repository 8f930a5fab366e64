package dev.torpor.api.status;

import io.fabric8.kubernetes.api.model.GenericKubernetesResource;
import io.fabric8.kubernetes.api.model.GenericKubernetesResourceBuilder;
import io.fabric8.kubernetes.api.model.StatusCause;
import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.MixedOperation;
import io.fabric8.kubernetes.client.dsl.Resource;
import io.fabric8.kubernetes.client.dsl.base.CustomResourceDefinitionContext;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.util.List;
import java.util.Objects;

/** Writes status by server-side apply to the status subresource: own field manager, never forced. */
public final class ApplyStatusWriter implements StatusWriter {
    /** How often news are tried; writers of one object are two, so three in a row already is a storm. */
    private static final int NEWS_ATTEMPTS = 3;

    private final KubernetesClient client;

    /** The client stays the caller's, to close after this. */
    public ApplyStatusWriter(KubernetesClient client) {
        this.client = client;
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
        StatusPart part = StatusPart.owned(owner, own);
        return part.equals(StatusPart.of(owner, seen.getStatus()))
                ? new WriteResult.Unchanged<>()
                : apply(owner, seen, part);
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
        R base = seen;
        WriteResult<R> result = transition(owner, base, own);
        for (int attempt = 1; attempt < NEWS_ATTEMPTS && result instanceof WriteResult.Stale<R>; attempt++) {
            R now = named(client.resources(owner.kind()), seen).get();
            if (now == null) {
                return new WriteResult.Gone<>();
            }
            if (!Objects.equals(now.getMetadata().getUid(), seen.getMetadata().getUid())) {
                return new WriteResult.Stale<>("another object has the name now");
            }
            base = now;
            result = transition(owner, base, own);
        }
        return result;
    }

    private <R extends CustomResource<?, S>, S> WriteResult<R> apply(StatusOwner<R, S> owner, R seen, StatusPart part) {
        GenericKubernetesResource patch = new GenericKubernetesResourceBuilder()
                .withApiVersion(seen.getApiVersion())
                .withKind(seen.getKind())
                .withNewMetadata()
                .withNamespace(seen.getMetadata().getNamespace())
                .withName(seen.getMetadata().getName())
                .withResourceVersion(seen.getMetadata().getResourceVersion())
                .endMetadata()
                .addToAdditionalProperties("status", StatusPart.toMap(part.toJson()))
                .build();
        try {
            GenericKubernetesResource written = resource(owner.kind(), seen)
                    .subresource("status")
                    .patch(
                            new PatchContext.Builder()
                                    .withPatchType(PatchType.SERVER_SIDE_APPLY)
                                    .withFieldManager(owner.manager())
                                    .withForce(false)
                                    .build(),
                            patch);
            return new WriteResult.Written<>(StatusPart.convert(written, owner.kind()));
        } catch (KubernetesClientException e) {
            if (e.getCode() == HttpURLConnection.HTTP_NOT_FOUND) {
                return new WriteResult.Gone<>();
            }
            if (e.getCode() == HttpURLConnection.HTTP_CONFLICT && !isAboutAField(e)) {
                return new WriteResult.Stale<>(Objects.requireNonNullElse(e.getMessage(), "conflict"));
            }
            throw e;
        }
    }

    private Resource<GenericKubernetesResource> resource(
            Class<? extends CustomResource<?, ?>> kind, CustomResource<?, ?> seen) {
        return named(
                client.genericKubernetesResources(CustomResourceDefinitionContext.fromCustomResourceType(kind)), seen);
    }

    private static <T> Resource<T> named(MixedOperation<T, ?, Resource<T>> all, CustomResource<?, ?> seen) {
        String namespace = seen.getMetadata().getNamespace();
        String name = seen.getMetadata().getName();
        return namespace == null
                ? all.withName(name)
                : all.inNamespace(namespace).withName(name);
    }

    private static boolean isAboutAField(KubernetesClientException e) {
        if (e.getStatus() == null || e.getStatus().getDetails() == null) {
            return false;
        }
        List<StatusCause> causes = e.getStatus().getDetails().getCauses();
        return causes != null && causes.stream().anyMatch(cause -> "FieldManagerConflict".equals(cause.getReason()));
    }
}
