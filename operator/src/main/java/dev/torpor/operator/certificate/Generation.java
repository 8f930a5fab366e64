package dev.torpor.operator.certificate;

import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Instant;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * An authority made for one certificate, and that certificate.
 *
 * @param authority what a caller has to trust
 * @param certificate what is shown to callers
 * @param key of the certificate; the authority's own is kept nowhere
 */
record Generation(X509Certificate authority, X509Certificate certificate, PrivateKey key) {
    /** Parses a generation and checks that the authority issued the certificate. */
    static Generation parse(String authority, String certificate, String key) throws GeneralSecurityException {
        List<X509Certificate> authorities = Pem.certificates(authority);
        List<X509Certificate> certificates = Pem.certificates(certificate);
        if (authorities.size() != 1 || certificates.size() != 1) {
            throw new GeneralSecurityException("not one authority and one certificate");
        }
        certificates.getFirst().verify(authorities.getFirst().getPublicKey());
        return new Generation(authorities.getFirst(), certificates.getFirst(), Pem.key(key));
    }

    /** Returns when the first of the two certificates ends. */
    Instant expiry() {
        return Stream.of(authority, certificate)
                .map(each -> each.getNotAfter().toInstant())
                .min(Instant::compareTo)
                .orElseThrow();
    }

    /** Returns whether callers may name the server by each of these DNS names. */
    boolean covers(Collection<String> dnsNames) {
        return dnsNames(certificate).containsAll(dnsNames);
    }

    private static Set<String> dnsNames(X509Certificate certificate) {
        try {
            return Optional.ofNullable(certificate.getSubjectAlternativeNames()).stream()
                    .flatMap(Collection::stream)
                    .filter(name -> Integer.valueOf(DNS_NAME).equals(name.getFirst()))
                    .map(name -> String.valueOf(name.get(1)))
                    .collect(Collectors.toSet());
        } catch (GeneralSecurityException e) {
            return Set.of();
        }
    }

    /** GeneralName of RFC 5280, section 4.2.1.6. */
    private static final int DNS_NAME = 2;
}
