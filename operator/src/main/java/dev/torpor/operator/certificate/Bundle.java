package dev.torpor.operator.certificate;

import io.fabric8.kubernetes.api.model.HasMetadata;
import java.security.cert.X509Certificate;
import java.util.Collection;
import java.util.List;
import java.util.Set;

/**
 * What API servers are told to trust by one webhook configuration.
 *
 * @param configuration the object as it was read
 * @param webhooks the certificates in the {@code caBundle} of each of its webhooks; none where it cannot be read
 */
record Bundle(HasMetadata configuration, List<Set<X509Certificate>> webhooks) {
    /** Returns whether a server that shows a certificate of this authority is trusted by every webhook. */
    boolean trusts(X509Certificate authority) {
        return webhooks.stream().allMatch(trusted -> trusted.contains(authority));
    }

    /** Returns whether every webhook trusts these and no others. */
    boolean isExactly(Collection<X509Certificate> authorities) {
        return webhooks.stream().allMatch(Set.copyOf(authorities)::equals);
    }

    @Override
    public String toString() {
        return configuration.getKind() + " " + configuration.getMetadata().getName();
    }
}
