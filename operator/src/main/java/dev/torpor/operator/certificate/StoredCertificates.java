package dev.torpor.operator.certificate;

import io.fabric8.kubernetes.api.model.Secret;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.time.DateTimeException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What the Secret of the webhook's certificates holds.
 *
 * @param current what is served
 * @param next what will be served once the API servers trust it
 * @param previous the authority of what was served before, still trusted for replicas that are behind
 * @param rotationAsked whether somebody asked for an exchange before its time
 */
record StoredCertificates(
        Generation current, Optional<Generation> next, Optional<Retired> previous, boolean rotationAsked) {
    /** Annotation of the Secret: any value asks for new certificates now. It is removed when they are made. */
    static final String ROTATE_ANNOTATION = "torpor.dev/rotate";

    private static final String RETIRED_ANNOTATION = "torpor.dev/previous-retired-at";
    private static final String CERTIFICATE = "tls.crt";
    private static final String KEY = "tls.key";
    private static final String AUTHORITY = "ca.crt";
    private static final String NEXT = "next-";
    private static final String PREVIOUS_AUTHORITY = "previous-ca.crt";

    /** An authority whose certificate is served no more, and since when. */
    record Retired(X509Certificate authority, Instant since) {}

    static StoredCertificates first(Generation generation) {
        return new StoredCertificates(generation, Optional.empty(), Optional.empty(), false);
    }

    /** Returns the same with another generation to come; what was asked for is then under way. */
    StoredCertificates preparing(Generation coming) {
        return new StoredCertificates(current, Optional.of(coming), previous, false);
    }

    /** Returns what holds once the next generation is the one that is served. */
    StoredCertificates promoted(Instant now) {
        return new StoredCertificates(
                next.orElseThrow(),
                Optional.empty(),
                Optional.of(new Retired(current.authority(), now)),
                rotationAsked);
    }

    StoredCertificates trimmed() {
        return new StoredCertificates(current, next, Optional.empty(), rotationAsked);
    }

    /** Returns all authorities that have to be trusted, the oldest first. */
    List<X509Certificate> authorities() {
        List<X509Certificate> all = new ArrayList<>();
        previous.ifPresent(retired -> all.add(retired.authority()));
        all.add(current.authority());
        next.ifPresent(coming -> all.add(coming.authority()));
        return List.copyOf(all);
    }

    /**
     * Parses a Secret's content.
     *
     * @throws GeneralSecurityException if it is not what {@link #data} writes
     */
    static StoredCertificates parse(Secret secret) throws GeneralSecurityException {
        Map<String, String> data = secret.getData() == null ? Map.of() : secret.getData();
        Map<String, String> annotations = secret.getMetadata().getAnnotations();
        try {
            Generation current = generation(data, "");
            Optional<Generation> next =
                    data.containsKey(NEXT + CERTIFICATE) ? Optional.of(generation(data, NEXT)) : Optional.empty();
            String retired = annotations.get(RETIRED_ANNOTATION);
            Optional<Retired> previous = data.containsKey(PREVIOUS_AUTHORITY) && retired != null
                    ? Optional.of(new Retired(
                            Pem.certificates(text(data, PREVIOUS_AUTHORITY)).getFirst(), Instant.parse(retired)))
                    : Optional.empty();
            return new StoredCertificates(current, next, previous, annotations.containsKey(ROTATE_ANNOTATION));
        } catch (IllegalArgumentException | DateTimeException e) {
            throw new GeneralSecurityException("not base64, or not a time: " + e.getMessage(), e);
        }
    }

    /** Returns the Secret's content, in base64. */
    Map<String, String> data() {
        Map<String, String> data = new HashMap<>();
        put(data, "", current);
        next.ifPresent(coming -> put(data, NEXT, coming));
        previous.ifPresent(retired -> data.put(PREVIOUS_AUTHORITY, encode(Pem.of(retired.authority()))));
        return data;
    }

    /** Returns the annotations of the Secret, out of those that it has. */
    Map<String, String> annotations(@Nullable Map<String, String> before) {
        Map<String, String> annotations = new HashMap<>(before == null ? Map.of() : before);
        annotations.remove(RETIRED_ANNOTATION);
        previous.ifPresent(
                retired -> annotations.put(RETIRED_ANNOTATION, retired.since().toString()));
        if (!rotationAsked) {
            annotations.remove(ROTATE_ANNOTATION);
        }
        return annotations;
    }

    private static Generation generation(Map<String, String> data, String prefix) throws GeneralSecurityException {
        return Generation.parse(
                text(data, prefix + AUTHORITY), text(data, prefix + CERTIFICATE), text(data, prefix + KEY));
    }

    private static void put(Map<String, String> data, String prefix, Generation generation) {
        data.put(prefix + AUTHORITY, encode(Pem.of(generation.authority())));
        data.put(prefix + CERTIFICATE, encode(Pem.of(generation.certificate())));
        data.put(prefix + KEY, encode(Pem.of(generation.key())));
    }

    private static String text(Map<String, String> data, String key) throws GeneralSecurityException {
        String value = data.get(key);
        if (value == null) {
            throw new GeneralSecurityException("it lacks " + key);
        }
        return new String(Base64.getDecoder().decode(value), StandardCharsets.US_ASCII);
    }

    private static String encode(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.US_ASCII));
    }
}
