package dev.torpor.operator.webhook;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import dev.torpor.operator.metrics.OperatorMetrics.Admission;
import io.fabric8.kubernetes.api.model.KubernetesResource;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionResponse;
import io.fabric8.kubernetes.api.model.admission.v1.AdmissionReview;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.utils.KubernetesSerialization;
import io.javaoperatorsdk.webhook.admission.AdmissionController;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Answers one path: an AdmissionReview in, an AdmissionReview out. */
final class ReviewHandler implements HttpHandler {
    private static final Logger LOG = LoggerFactory.getLogger(ReviewHandler.class);
    /** The API server takes objects of 3 MiB at most, and sends two of them. */
    private static final int REQUEST_BYTES_MAX = 8 << 20;

    private static final int OK = 200;
    private static final int BAD_REQUEST = 400;
    private static final int METHOD_NOT_ALLOWED = 405;
    private static final int TOO_LARGE = 413;
    private static final int TOO_MANY = 429;
    private static final int BUG = 500;

    private final KubernetesSerialization serialization;
    private final AdmissionController<KubernetesResource> controller;
    private final Consumer<Admission> count;

    ReviewHandler(
            KubernetesSerialization serialization,
            AdmissionController<KubernetesResource> controller,
            Consumer<Admission> count) {
        this.serialization = serialization;
        this.controller = controller;
        this.count = count;
    }

    @Override
    public void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            if (!"POST".equals(exchange.getRequestMethod())) {
                respond(exchange, METHOD_NOT_ALLOWED, "text/plain", "POST an AdmissionReview\n");
                return;
            }
            byte[] body = exchange.getRequestBody().readNBytes(REQUEST_BYTES_MAX + 1);
            if (body.length > REQUEST_BYTES_MAX) {
                respond(exchange, TOO_LARGE, "text/plain", "more than any object has\n");
                return;
            }
            review(exchange, body);
        }
    }

    private void review(HttpExchange exchange, byte[] body) throws IOException {
        AdmissionReview review;
        try {
            review = serialization.unmarshal(new String(body, StandardCharsets.UTF_8), AdmissionReview.class);
        } catch (KubernetesClientException | IllegalArgumentException e) {
            LOG.debug("not an AdmissionReview", e);
            respond(exchange, BAD_REQUEST, "text/plain", "not an AdmissionReview\n");
            return;
        }
        if (review == null || review.getRequest() == null) {
            respond(exchange, BAD_REQUEST, "text/plain", "an AdmissionReview without a request\n");
            return;
        }
        String answer;
        try {
            AdmissionReview answered = controller.handle(review);
            log(exchange, review, answered.getResponse());
            answer = serialization.asJson(answered);
            count.accept(decision(answered.getResponse()));
        } catch (RuntimeException e) {
            count.accept(Admission.FAILED);
            LOG.error("no answer at {} for {}", exchange.getHttpContext().getPath(), about(review), e);
            respond(exchange, BUG, "text/plain", "the operator's log says more\n");
            return;
        }
        respond(exchange, OK, "application/json", answer);
    }

    private static Admission decision(AdmissionResponse response) {
        if (!Boolean.TRUE.equals(response.getAllowed())) {
            return Admission.DENIED;
        }
        return response.getPatch() == null ? Admission.ALLOWED : Admission.MUTATED;
    }

    private static void log(HttpExchange exchange, AdmissionReview review, AdmissionResponse response) {
        if (Boolean.TRUE.equals(response.getAllowed())) {
            LOG.debug("{} allowed {}", exchange.getHttpContext().getPath(), about(review));
        } else if (Integer.valueOf(TOO_MANY).equals(response.getStatus().getCode())) {
            // Asked again every few seconds, as long as a save takes.
            LOG.debug(
                    "{} put off {}: {}",
                    exchange.getHttpContext().getPath(),
                    about(review),
                    response.getStatus().getMessage());
        } else {
            LOG.info(
                    "{} refused {}: {}",
                    exchange.getHttpContext().getPath(),
                    about(review),
                    response.getStatus().getMessage());
        }
    }

    private static String about(AdmissionReview review) {
        var request = review.getRequest();
        return "%s %s %s/%s%s"
                .formatted(
                        request.getOperation(),
                        request.getKind() == null ? "?" : request.getKind().getKind(),
                        request.getNamespace(),
                        request.getName(),
                        Boolean.TRUE.equals(request.getDryRun()) ? " (dry run)" : "");
    }

    private static void respond(HttpExchange exchange, int code, String type, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(code, bytes.length);
        exchange.getResponseBody().write(bytes);
    }
}
