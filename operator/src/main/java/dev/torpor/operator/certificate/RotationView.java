package dev.torpor.operator.certificate;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * Everything that the next step of an exchange is decided on.
 *
 * @param now when it was looked
 * @param dnsNames what callers name the server by
 * @param stored what the Secret holds; empty if there is none, or none that can be read
 * @param bundles what API servers are told to trust, one for each webhook configuration that exists
 * @param trustedSince since when this process has seen the authorities in all bundles, if it does now
 */
record RotationView(
        Instant now,
        List<String> dnsNames,
        Optional<StoredCertificates> stored,
        List<Bundle> bundles,
        Optional<Instant> trustedSince) {
    RotationView {
        dnsNames = List.copyOf(dnsNames);
        bundles = List.copyOf(bundles);
    }
}
