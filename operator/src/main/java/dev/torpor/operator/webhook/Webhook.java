package dev.torpor.operator.webhook;

import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import dev.torpor.operator.admission.Admission;
import dev.torpor.operator.admission.InjectionSettings;
import dev.torpor.operator.certificate.CertificateKeeper;
import dev.torpor.operator.certificate.CertificateSource;
import dev.torpor.operator.certificate.MountedCertificate;
import dev.torpor.operator.drain.EvictionReview;
import dev.torpor.operator.metrics.OperatorMetrics;
import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.javaoperatorsdk.webhook.admission.AdmissionController;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetSocketAddress;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Consumer;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The webhook of this process: its server, and whoever keeps its certificate. */
public final class Webhook implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(Webhook.class);
    /** For requests under way at the end of the process; an API server waits for 10 s at most. */
    private static final int LAST_ANSWERS_SECONDS = 2;

    static {
        // The JDK's server is told this only by properties, before it is used first. Its default leaves the small
        // answers to Nagle's algorithm.
        System.setProperty("sun.net.httpserver.nodelay", "true");
        // An API server keeps a connection for 90 s; whoever closes first should be it.
        System.setProperty("sun.net.httpserver.idleInterval", "120");
        // A request that takes longer is not one of an API server's.
        System.setProperty("sun.net.httpserver.maxReqTime", "30");
    }

    private final CertificateSource certificate;
    private final HttpsServer server;
    private final ExecutorService executor = Executors.newVirtualThreadPerTaskExecutor();

    /**
     * Binds the port; nothing is served before {@link #start}.
     *
     * @param namespace of the operator, its Service and its Secret
     * @param steps hears of each step
     * @param count is told each answer
     */
    public Webhook(
            KubernetesClient client,
            String namespace,
            WebhookOptions options,
            InstantSource clock,
            StepHook steps,
            Consumer<OperatorMetrics.Admission> count) {
        this.certificate = options.certificates()
                .<CertificateSource>map(directory -> new MountedCertificate(directory, clock))
                .orElseGet(() -> new CertificateKeeper(client, namespace, options.service(), clock));
        try {
            this.server = HttpsServer.create(new InetSocketAddress(options.port()), 0);
        } catch (IOException e) {
            throw new UncheckedIOException("port %d of the webhook cannot be bound".formatted(options.port()), e);
        }
        server.setHttpsConfigurator(new HttpsConfigurator(context(certificate)));
        server.setExecutor(executor);
        serve(
                client,
                Admission.controllers(
                        client,
                        namespace,
                        new InjectionSettings(options.launcherImage(), options.imageFolder(), options.readinessGate())),
                count);
        serve(client, EvictionReview.controllers(client, namespace, clock, steps), count);
    }

    private void serve(
            KubernetesClient client,
            Map<String, AdmissionController<KubernetesResource>> controllers,
            Consumer<OperatorMetrics.Admission> count) {
        controllers.forEach((path, controller) ->
                server.createContext(path, new ReviewHandler(client.getKubernetesSerialization(), controller, count)));
    }

    /** Begins to serve. Until there is a certificate, no handshake succeeds. */
    public void start() {
        certificate.start();
        server.start();
        LOG.info("webhook listens on port {}", server.getAddress().getPort());
    }

    /** Returns why API servers cannot call this process, in one line for people; empty if they can. */
    public Optional<String> notReadyReason() {
        return certificate.notReadyReason();
    }

    /** Returns when the certificate ends that is served; empty if none is served yet. */
    public Optional<Instant> certificateExpiry() {
        return certificate.expiry();
    }

    /** Returns the port that is listened on. */
    public int port() {
        return server.getAddress().getPort();
    }

    /** Answers what was asked, and ends. */
    @Override
    public void close() {
        server.stop(LAST_ANSWERS_SECONDS);
        certificate.close();
        executor.close();
    }

    private static SSLContext context(CertificateSource certificate) {
        try {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(new KeyManager[] {certificate.key()}, null, null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException("this Java has no TLS", e);
        }
    }
}
