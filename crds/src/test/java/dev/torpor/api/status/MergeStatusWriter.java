package dev.torpor.api.status;

import io.fabric8.kubernetes.client.CustomResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.net.HttpURLConnection;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * A writer for the client's mock server, which answers 415 to server-side apply: reads the object, puts the owner's
 * part in the place of the old one, and replaces the status. Counts its writes.
 */
public final class MergeStatusWriter implements StatusWriter {
    private final KubernetesClient client;
    private final List<String> writes = Collections.synchronizedList(new ArrayList<>());
    private volatile boolean stale;

    public MergeStatusWriter(KubernetesClient client) {
        this.client = client;
    }

    /** Returns one entry, {@code <manager> <kind>/<name>}, for each write that was sent, in order. */
    public List<String> writes() {
        return List.copyOf(writes);
    }

    /** From now on every transition is answered as if the object had changed, or no longer. */
    public void answerStale(boolean on) {
        stale = on;
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own) {
        StatusPart part = StatusPart.owned(owner, own);
        if (part.equals(StatusPart.of(owner, seen.getStatus()))) {
            return new WriteResult.Unchanged<>();
        }
        if (stale) {
            return new WriteResult.Stale<>("told to");
        }
        return merge(owner, seen, part, true);
    }

    @Override
    public <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own) {
        StatusPart part = StatusPart.owned(owner, own);
        return part.equals(StatusPart.of(owner, seen.getStatus()))
                ? new WriteResult.Unchanged<>()
                : merge(owner, seen, part, false);
    }

    private <R extends CustomResource<?, S>, S> WriteResult<R> merge(
            StatusOwner<R, S> owner, R seen, StatusPart part, boolean sameVersion) {
        R now = client.resources(owner.kind())
                .inNamespace(seen.getMetadata().getNamespace())
                .withName(seen.getMetadata().getName())
                .get();
        if (now == null) {
            return new WriteResult.Gone<>();
        }
        if (!Objects.equals(now.getMetadata().getUid(), seen.getMetadata().getUid())
                || (sameVersion
                        && !Objects.equals(
                                now.getMetadata().getResourceVersion(),
                                seen.getMetadata().getResourceVersion()))) {
            return new WriteResult.Stale<>("the object has been modified");
        }
        StatusPart all = StatusPart.all(now.getStatus());
        all.fields().keySet().removeAll(owner.fields());
        all.conditions().keySet().removeAll(owner.conditions());
        all.fields().putAll(part.fields());
        all.conditions().putAll(part.conditions());
        R merged = StatusPart.convert(
                Map.of("metadata", now.getMetadata(), "spec", now.getSpec(), "status", StatusPart.toMap(all.toJson())),
                owner.kind());
        writes.add("%s %s/%s"
                .formatted(owner.manager(), seen.getKind(), seen.getMetadata().getName()));
        try {
            return new WriteResult.Written<>(
                    client.resource(merged).subresource("status").update());
        } catch (KubernetesClientException e) {
            if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
                return new WriteResult.Stale<>("the object has been modified");
            }
            throw e;
        }
    }
}
