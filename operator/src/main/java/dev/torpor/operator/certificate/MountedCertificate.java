package dev.torpor.operator.certificate;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A certificate that somebody else makes and exchanges, cert-manager for example: files {@code tls.crt} and
 * {@code tls.key} of a mounted Secret. The bundles of the webhook configurations are then theirs as well.
 */
public final class MountedCertificate implements CertificateSource {
    private static final Logger LOG = LoggerFactory.getLogger(MountedCertificate.class);
    /** The kubelet itself takes a minute to bring a change of a Secret to its mounts. */
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(10);

    private final Path directory;
    private final InstantSource clock;
    private final ServingKey key = new ServingKey();
    private final Thread thread;
    private volatile Optional<String> trouble;

    public MountedCertificate(Path directory, InstantSource clock) {
        this.directory = directory;
        this.clock = clock;
        this.trouble = Optional.of("the webhook's certificate in " + directory + " was not read so far");
        this.thread = Thread.ofPlatform().daemon().name("webhook-certificate").unstarted(this::run);
    }

    @Override
    public ServingKey key() {
        return key;
    }

    @Override
    public void start() {
        thread.start();
    }

    @Override
    public Optional<String> notReadyReason() {
        Optional<Instant> expiry = expiry();
        if (expiry.isEmpty()) {
            return trouble;
        }
        // A new pair that cannot be read is in the log; the one before it still serves.
        return clock.instant().isBefore(expiry.get())
                ? Optional.empty()
                : Optional.of("the webhook's certificate in %s ended at %s".formatted(directory, expiry.get()));
    }

    @Override
    public Optional<Instant> expiry() {
        return key.certificate().map(certificate -> certificate.getNotAfter().toInstant());
    }

    @Override
    public void close() {
        thread.interrupt();
    }

    private void run() {
        try {
            while (true) {
                load();
                Thread.sleep(LOOK_AGAIN);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // Told to end.
        }
    }

    /** Reads the files and serves what they hold, if it is usable. */
    void load() {
        try {
            List<X509Certificate> chain = Pem.certificates(Files.readString(directory.resolve("tls.crt")));
            if (chain.isEmpty()) {
                throw new GeneralSecurityException("no certificate in tls.crt");
            }
            PrivateKey itsKey = Pem.key(Files.readString(directory.resolve("tls.key")));
            Pem.requirePair(chain.getFirst(), itsKey);
            if (key.serve(chain, itsKey)) {
                LOG.info(
                        "serving the webhook with the certificate in {} until {}",
                        directory,
                        chain.getFirst().getNotAfter().toInstant());
            }
            trouble = Optional.empty();
        } catch (IOException | GeneralSecurityException e) {
            String what = "the webhook's certificate in %s cannot be used: %s".formatted(directory, e.getMessage());
            if (!trouble.equals(Optional.of(what))) {
                LOG.warn("{}", what);
            }
            trouble = Optional.of(what);
        }
    }
}
