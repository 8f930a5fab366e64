package dev.torpor.telemetry.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class HttpEndpointTest {
    private final HttpClient client = HttpClient.newHttpClient();
    private final AtomicReference<Optional<String>> lease = new AtomicReference<>(Optional.empty());
    private final Health ready = new Health().with("lease", lease::get).with("store", Optional::empty);

    @SuppressWarnings("NullAway.Init")
    private HttpEndpoint endpoint;

    @BeforeEach
    void start() throws IOException {
        endpoint = HttpEndpoint.start(0, new Health(), ready, () -> "torpor_up 1\n");
    }

    @AfterEach
    void stop() {
        endpoint.close();
        client.close();
    }

    @Test
    void aHealthyProcessNamesItsChecks() throws Exception {
        HttpResponse<String> answer = get("/readyz");
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.body()).isEqualTo("lease: ok\nstore: ok\n");
        assertThat(get("/livez").statusCode()).isEqualTo(200);
    }

    @Test
    void aFailedCheckIs503WithItsReasonInOneLine() throws Exception {
        lease.set(Optional.of("not renewed\nfor 50 s"));
        HttpResponse<String> answer = get("/readyz");
        assertThat(answer.statusCode()).isEqualTo(503);
        assertThat(answer.body()).isEqualTo("lease: not renewed for 50 s\nstore: ok\n");
        assertThat(get("/livez").statusCode()).isEqualTo(200);
    }

    @Test
    void aCheckThatThrowsHasFailed() throws Exception {
        ready.with("broken", () -> {
            throw new IllegalStateException("told to");
        });
        HttpResponse<String> answer = get("/readyz");
        assertThat(answer.statusCode()).isEqualTo(503);
        assertThat(answer.body()).contains("broken: cannot be told: java.lang.IllegalStateException: told to");
    }

    @Test
    void metricsAreOfTheTypeThatPrometheusReads() throws Exception {
        HttpResponse<String> answer = get("/metrics");
        assertThat(answer.statusCode()).isEqualTo(200);
        assertThat(answer.headers().firstValue("Content-Type")).contains("text/plain; version=0.0.4; charset=utf-8");
        assertThat(answer.body()).isEqualTo("torpor_up 1\n");
    }

    @Test
    void nothingElseIsServed() throws Exception {
        assertThat(get("/livez/more").statusCode()).isEqualTo(404);
        assertThat(get("/").statusCode()).isEqualTo(404);
        HttpRequest post = HttpRequest.newBuilder(uri("/livez"))
                .POST(HttpRequest.BodyPublishers.ofString("x"))
                .build();
        assertThat(client.send(post, HttpResponse.BodyHandlers.ofString()).statusCode())
                .isEqualTo(405);
    }

    @Test
    void aPortThatIsTakenIsNamed() {
        assertThatThrownBy(() -> HttpEndpoint.start(endpoint.port(), new Health(), new Health(), () -> ""))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("cannot serve HTTP on port " + endpoint.port());
    }

    private HttpResponse<String> get(String path) throws Exception {
        return client.send(HttpRequest.newBuilder(uri(path)).build(), HttpResponse.BodyHandlers.ofString());
    }

    private URI uri(String path) {
        return URI.create("http://127.0.0.1:" + endpoint.port() + path);
    }
}
