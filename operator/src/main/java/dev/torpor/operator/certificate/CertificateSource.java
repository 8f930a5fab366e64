package dev.torpor.operator.certificate;

import java.time.Instant;
import java.util.Optional;

/** Whoever keeps a {@link ServingKey} filled. Closing it ends its threads, not what is served. */
public interface CertificateSource extends AutoCloseable {
    /** Returns the key that is kept filled. */
    ServingKey key();

    /** Begins to look after the key. Does not wait. */
    void start();

    /** Returns why API servers cannot call this process, in one line for people; empty if they can. */
    Optional<String> notReadyReason();

    /** Returns when the certificate ends that is served. */
    Optional<Instant> expiry();

    @Override
    void close();
}
