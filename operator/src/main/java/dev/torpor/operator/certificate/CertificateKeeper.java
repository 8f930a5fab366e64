package dev.torpor.operator.certificate;

import dev.torpor.operator.certificate.RotationAction.Create;
import dev.torpor.operator.certificate.RotationAction.Prepare;
import dev.torpor.operator.certificate.RotationAction.Promote;
import dev.torpor.operator.certificate.RotationAction.Publish;
import dev.torpor.operator.certificate.RotationAction.Trim;
import dev.torpor.operator.certificate.RotationAction.Wait;
import io.fabric8.kubernetes.api.model.HasMetadata;
import io.fabric8.kubernetes.api.model.Secret;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.informers.ResourceEventHandler;
import io.fabric8.kubernetes.client.informers.SharedIndexInformer;
import java.net.HttpURLConnection;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps the operator's own certificates: makes, publishes and exchanges them, and serves what the Secret says. Every
 * replica runs one, and none leads: each write fails if it was decided on something that changed meanwhile.
 */
public final class CertificateKeeper implements CertificateSource {
    private static final Logger LOG = LoggerFactory.getLogger(CertificateKeeper.class);
    /** Looked at that often even if no watch tells of a change. */
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(30);

    private static final Duration RETRY = Duration.ofSeconds(5);

    private final KubernetesClient client;
    private final CertificateSecret secret;
    private final WebhookConfigurations configurations;
    private final String namespace;
    private final List<String> dnsNames;
    private final InstantSource clock;
    private final GenerationFactory factory = new GenerationFactory();
    private final ServingKey key = new ServingKey();
    private final Semaphore changed = new Semaphore(0);
    private final List<SharedIndexInformer<?>> informers = new CopyOnWriteArrayList<>();
    private final Thread thread;

    private volatile Optional<StoredCertificates> served = Optional.empty();
    private volatile Optional<String> notReady = Optional.of(
            "the webhook has no certificate yet: Secret " + CertificateSecret.NAME + " was not read so far");
    // What the bundles were seen to hold, and since when; only the thread uses it.
    private @Nullable Set<X509Certificate> trusted;
    private Instant trustedSince = Instant.MIN;

    /**
     * Creates a keeper that does nothing yet.
     *
     * @param namespace of the Secret and of the webhook's Service
     * @param service name of the Service that API servers call
     */
    public CertificateKeeper(KubernetesClient client, String namespace, String service, InstantSource clock) {
        this.client = client;
        this.namespace = namespace;
        this.secret = new CertificateSecret(client, namespace);
        this.configurations = new WebhookConfigurations(client);
        this.dnsNames = List.of(
                service,
                service + "." + namespace,
                service + "." + namespace + ".svc",
                service + "." + namespace + ".svc.cluster.local");
        this.clock = clock;
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
        return notReady;
    }

    @Override
    public Optional<Instant> expiry() {
        return served.map(stored -> stored.current().expiry());
    }

    @Override
    public void close() {
        thread.interrupt();
        informers.forEach(SharedIndexInformer::stop);
    }

    private void run() {
        try {
            while (informers.isEmpty()) {
                try {
                    watch();
                } catch (KubernetesClientException e) {
                    LOG.warn("cannot watch the webhook's certificate, trying again: {}", e.getMessage());
                    informers.forEach(SharedIndexInformer::stop);
                    informers.clear();
                    Thread.sleep(RETRY);
                }
            }
            while (!Thread.currentThread().isInterrupted()) {
                Duration pause = lookAndAct();
                if (changed.tryAcquire(pause.toMillis(), TimeUnit.MILLISECONDS)) {
                    changed.drainPermits();
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt(); // Told to end.
        }
    }

    // Only to be told when to look: what is decided on is read again.
    private void watch() {
        informers.add(client.secrets()
                .inNamespace(namespace)
                .withName(CertificateSecret.NAME)
                .inform(new Wake<>()));
        for (Class<? extends HasMetadata> kind : WebhookConfigurations.KINDS) {
            informers.add(
                    client.resources(kind).withName(WebhookConfigurations.NAME).inform(new Wake<>()));
        }
    }

    private Duration lookAndAct() {
        try {
            return switch (step()) {
                case Wait(Instant until) -> {
                    Duration pause = Duration.between(clock.instant(), until);
                    yield pause.compareTo(LOOK_AGAIN) < 0 ? max(pause, Duration.ZERO) : LOOK_AGAIN;
                }
                case Create _, Prepare _, Publish _, Promote _, Trim _ -> Duration.ZERO;
            };
        } catch (KubernetesClientException e) {
            if (Thread.currentThread().isInterrupted()) {
                return Duration.ZERO;
            }
            if (e.getCode() == HttpURLConnection.HTTP_CONFLICT) {
                LOG.debug("another replica was quicker: {}", e.getMessage());
                return Duration.ZERO;
            }
            LOG.warn("the webhook's certificate is not looked after, trying again: {}", e.getMessage());
            if (served.isEmpty()) {
                notReady = Optional.of("the webhook has no certificate yet: " + e.getMessage());
            }
            return RETRY;
        }
    }

    /** Looks, does one step, and returns which one. A client's exception with code 409 means that another was quicker. */
    RotationAction step() {
        Seen seen = look();
        RotationAction action = Rotation.decide(seen.view());
        perform(action, seen.secret());
        return action;
    }

    /** What was seen, and the Secret that a write replaces. */
    record Seen(RotationView view, Optional<Secret> secret) {}

    /** Looks, and serves what the Secret says. Changes nothing in the cluster. */
    Seen look() {
        // The configurations before the Secret: whoever changes the Secret after our look at it cannot have published
        // that before our look at the configurations, so that our writing an older bundle over it fails.
        List<Bundle> bundles = configurations.read();
        Optional<Secret> found = secret.read();
        Optional<StoredCertificates> stored = found.flatMap(this::parse);
        stored.ifPresent(this::serve);
        notReady = judge(bundles);
        return new Seen(
                new RotationView(
                        clock.instant(),
                        dnsNames,
                        stored,
                        bundles,
                        stored.flatMap(content -> trustedSince(content, bundles))),
                found);
    }

    private void perform(RotationAction action, Optional<Secret> found) {
        switch (action) {
            case Create() -> {
                Generation made = factory.make(dnsNames, clock.instant());
                // The Secret was deleted under a server that runs: exchanged in the usual way, nobody is cut off.
                secret.write(
                        found,
                        served.filter(stored -> clock.instant()
                                        .isBefore(stored.current().expiry()))
                                .map(stored -> stored.preparing(made))
                                .orElseGet(() -> StoredCertificates.first(made)));
                LOG.info("wrote Secret {} with a new certificate until {}", CertificateSecret.NAME, made.expiry());
            }
            case Prepare(StoredCertificates from, String why) -> {
                Generation made = factory.make(dnsNames, clock.instant());
                secret.write(found, from.preparing(made));
                LOG.info("made the next certificate of the webhook, until {}: {}", made.expiry(), why);
            }
            case Publish(StoredCertificates stored, List<Bundle> outdated) -> {
                for (Bundle bundle : outdated) {
                    configurations.publish(bundle, stored.authorities());
                    LOG.info(
                            "wrote the bundle of {}, certificates in it: {}",
                            bundle,
                            stored.authorities().size());
                }
            }
            case Promote(StoredCertificates from) -> {
                secret.write(found, from.promoted(clock.instant()));
                LOG.info("the next certificate of the webhook is to be served now");
            }
            case Trim(StoredCertificates from) -> {
                secret.write(found, from.trimmed());
                LOG.info("the previous authority of the webhook is trusted no more");
            }
            case Wait _ -> {}
        }
    }

    private Optional<StoredCertificates> parse(Secret content) {
        try {
            return Optional.of(StoredCertificates.parse(content));
        } catch (GeneralSecurityException e) {
            LOG.warn("Secret {} cannot be used and is written anew: {}", CertificateSecret.NAME, e.getMessage());
            return Optional.empty();
        }
    }

    private void serve(StoredCertificates stored) {
        served = Optional.of(stored);
        Generation current = stored.current();
        if (key.serve(List.of(current.certificate()), current.key())) {
            LOG.info("serving the webhook with a certificate until {}", current.expiry());
        }
    }

    private Optional<String> judge(List<Bundle> bundles) {
        if (served.isEmpty()) {
            return Optional.of("the webhook has no certificate yet: Secret %s is not there or cannot be used"
                    .formatted(CertificateSecret.NAME));
        }
        Generation current = served.get().current();
        if (!clock.instant().isBefore(current.expiry())) {
            return Optional.of("the webhook's certificate ended at " + current.expiry());
        }
        List<String> reasons = new ArrayList<>();
        if (bundles.size() < WebhookConfigurations.KINDS.size()) {
            reasons.add("a webhook configuration named %s is missing: install the chart's"
                    .formatted(WebhookConfigurations.NAME));
        }
        bundles.stream()
                .filter(bundle -> !bundle.trusts(current.authority()))
                .forEach(bundle -> reasons.add(bundle + " does not trust the certificate that is served here"));
        return reasons.isEmpty() ? Optional.empty() : Optional.of(String.join("; ", reasons));
    }

    private Optional<Instant> trustedSince(StoredCertificates stored, List<Bundle> bundles) {
        Set<X509Certificate> wanted = Set.copyOf(stored.authorities());
        if (!bundles.stream().allMatch(bundle -> bundle.isExactly(wanted))) {
            trusted = null;
            return Optional.empty();
        }
        if (!Objects.equals(trusted, wanted)) {
            trusted = wanted;
            trustedSince = clock.instant();
        }
        return Optional.of(trustedSince);
    }

    private static Duration max(Duration a, Duration b) {
        return a.compareTo(b) > 0 ? a : b;
    }

    private final class Wake<T> implements ResourceEventHandler<T> {
        @Override
        public void onAdd(T object) {
            changed.release();
        }

        @Override
        public void onUpdate(T before, T after) {
            changed.release();
        }

        @Override
        public void onDelete(T object, boolean unknown) {
            changed.release();
        }
    }
}
