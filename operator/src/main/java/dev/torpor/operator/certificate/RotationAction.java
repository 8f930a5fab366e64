package dev.torpor.operator.certificate;

import java.time.Instant;
import java.util.List;

/** One step of an exchange of certificates. Each ends in a state that any other process can carry on from. */
sealed interface RotationAction {
    /** Make the Secret, or write it anew. */
    record Create() implements RotationAction {}

    /** Make another generation and store it beside the current one. */
    record Prepare(StoredCertificates from, String why) implements RotationAction {}

    /** Tell API servers to trust exactly the authorities of the Secret. */
    record Publish(StoredCertificates stored, List<Bundle> outdated) implements RotationAction {}

    /** Serve the next generation, and go on trusting the one before it. */
    record Promote(StoredCertificates from) implements RotationAction {}

    /** Trust the previous authority no more. */
    record Trim(StoredCertificates from) implements RotationAction {}

    /** Nothing to do before this time. */
    record Wait(Instant until) implements RotationAction {}
}
