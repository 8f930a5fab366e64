package dev.torpor.api.status;

import io.fabric8.kubernetes.client.CustomResource;

/**
 * Writes one owner's part of the status of custom resources, and nothing else. Nothing is sent when the owner's part
 * is as it was seen. Safe for use by many threads.
 *
 * <p>Any answer but success, conflict of versions and not found is thrown as the client's exception; among them is the
 * conflict about a field that another manager took by force, which looking again would not cure.
 */
public interface StatusWriter {
    /**
     * Writes a transition: a change that is right only if nothing has changed since the object was seen. It carries the
     * object's resourceVersion (its UID would be ignored by the API server), so a stale writer loses.
     *
     * @param seen the object as it was read when the change was decided
     * @param own all of the owner's part, and nothing of others: what is left out is removed
     * @throws IllegalArgumentException if {@code own} holds a field or condition of another owner
     */
    <R extends CustomResource<?, S>, S> WriteResult<R> transition(StatusOwner<R, S> owner, R seen, S own);

    /**
     * Writes news that stay right whatever others changed meanwhile, such as progress: when the version is stale, the
     * object is read again and the same part written over it, provided that it is still the object of the same UID.
     * {@code Stale} means another object, or that it changed again and again; news may be dropped then.
     *
     * @param seen the object as it was read
     * @param own all of the owner's part, and nothing of others: what is left out is removed
     * @throws IllegalArgumentException if {@code own} holds a field or condition of another owner
     */
    <R extends CustomResource<?, S>, S> WriteResult<R> news(StatusOwner<R, S> owner, R seen, S own);
}
