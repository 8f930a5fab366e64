package dev.torpor.operator.certificate;

import dev.torpor.operator.certificate.RotationAction.Create;
import dev.torpor.operator.certificate.RotationAction.Prepare;
import dev.torpor.operator.certificate.RotationAction.Promote;
import dev.torpor.operator.certificate.RotationAction.Publish;
import dev.torpor.operator.certificate.RotationAction.Trim;
import dev.torpor.operator.certificate.RotationAction.Wait;
import dev.torpor.operator.certificate.StoredCertificates.Retired;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * Decides the next step of an exchange. What is served is trusted at each step: the bundles are brought in line with
 * the Secret before anything else is done, and nothing is served before it was trusted for a while.
 */
final class Rotation {
    /** A third of the lifetime: months for somebody to notice that it does not work. */
    static final Duration RENEW_BEFORE = GenerationFactory.LIFETIME.dividedBy(3);
    /** How long an API server may take to notice a new bundle; there may be several, and each watches for itself. */
    static final Duration SETTLE = Duration.ofSeconds(15);
    /** How long a replica may take to notice a new certificate. */
    static final Duration TRIM_AFTER = Duration.ofMinutes(15);

    private Rotation() {}

    static RotationAction decide(RotationView view) {
        if (view.stored().isEmpty()) {
            return new Create();
        }
        StoredCertificates stored = view.stored().get();
        List<Bundle> outdated = view.bundles().stream()
                .filter(bundle -> !bundle.isExactly(stored.authorities()))
                .toList();
        if (!outdated.isEmpty()) {
            return new Publish(stored, outdated);
        }
        if (stored.next().isPresent()) {
            return exchange(view, stored, stored.next().get());
        }
        if (stored.previous().isPresent()) {
            Retired previous = stored.previous().get();
            Instant trim = previous.since().plus(TRIM_AFTER);
            return view.now().isBefore(trim) ? new Wait(trim) : new Trim(stored);
        }
        return reasonToRenew(view, stored.current(), stored.rotationAsked())
                .<RotationAction>map(why -> new Prepare(stored, why))
                .orElseGet(() -> new Wait(renewal(stored.current())));
    }

    private static RotationAction exchange(RotationView view, StoredCertificates stored, Generation next) {
        Optional<String> outlived = reasonToRenew(view, next, stored.rotationAsked());
        if (outlived.isPresent()) {
            return new Prepare(stored, "of the next certificate, " + outlived.get());
        }
        if (!view.now().isBefore(stored.current().expiry())) {
            return new Promote(stored); // Nobody accepts the current one any more, so waiting helps nobody.
        }
        Instant settled = view.trustedSince().orElse(view.now()).plus(SETTLE);
        return view.now().isBefore(settled) ? new Wait(settled) : new Promote(stored);
    }

    private static Optional<String> reasonToRenew(RotationView view, Generation generation, boolean asked) {
        if (asked) {
            return Optional.of("annotation " + StoredCertificates.ROTATE_ANNOTATION + " asks for it");
        }
        if (!generation.covers(view.dnsNames())) {
            return Optional.of("it is not for " + view.dnsNames());
        }
        return view.now().isBefore(renewal(generation))
                ? Optional.empty()
                : Optional.of("it ends at " + generation.expiry());
    }

    private static Instant renewal(Generation generation) {
        return generation.expiry().minus(RENEW_BEFORE);
    }
}
