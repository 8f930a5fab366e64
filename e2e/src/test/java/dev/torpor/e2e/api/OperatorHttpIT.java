package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.TestNamespace;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What two operators, of which one works, tell of themselves. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class OperatorHttpIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);

    @Test
    void leaderAndStandByAreReadyAndOneLeads(ControlPlane cluster, @TestNamespace String namespace) throws Exception {
        String system = cluster.createNamespace("http-system");
        int first = FreePorts.take();
        try (OperatorUnderTest _ = start(cluster, system, "first", first)) {
            await("leader").atMost(TIMEOUT).untilAsserted(() -> assertThat(metrics(first))
                    .contains("torpor_operator_leader 1.0"));
            int second = FreePorts.take();
            try (OperatorUnderTest _ = start(cluster, system, "second", second)) {
                for (int port : new int[] {first, second}) {
                    await("readiness").atMost(TIMEOUT).untilAsserted(() -> {
                        HttpResponse<String> ready = get(port, "/readyz");
                        assertThat(ready.body()).isEqualTo("informers: ok\n");
                        assertThat(ready.statusCode()).isEqualTo(200);
                        assertThat(get(port, "/livez").body()).isEqualTo("steps: ok\n");
                    });
                }
                OperatorScene scene = new OperatorScene(cluster, namespace);
                scene.create("waits", OperatorScene.save("web"));
                scene.awaitSnapshotReason("waits", "VMNotFound");
                await("metrics").atMost(TIMEOUT).untilAsserted(() -> assertThat(metrics(first))
                        .containsPattern("torpor_operator_objects\\{kind=\"VMSnapshot\",phase=\"Pending\"} [1-9]")
                        .containsPattern(
                                "operator_sdk_reconciliations_success_total\\{[^}]*kind=\"VMSnapshot\"[^}]*} [1-9]")
                        .containsPattern("operator_sdk_controllers_execution_reconcile_seconds_count\\{[^}]*} [1-9]"));
                assertThat(metrics(first)).doesNotContain("\"waits\"").doesNotContain("\"" + namespace + "\"");
                // Everything that is shown says what it is.
                assertThat(metrics(first).lines().filter(line -> line.startsWith("# HELP ")))
                        .allSatisfy(line -> assertThat(line.split(" ", 4)).hasSize(4));
                // Its caches are warm too.
                await("metrics of who stands by").atMost(TIMEOUT).untilAsserted(() -> assertThat(metrics(second))
                        .contains("torpor_operator_leader 0.0")
                        .containsPattern("torpor_operator_objects\\{kind=\"VMSnapshot\",phase=\"Pending\"} [1-9]"));
            }
        }
    }

    private static OperatorUnderTest start(ControlPlane cluster, String system, String identity, int port) {
        return OperatorUnderTest.start(
                cluster, "--namespace", system, "--identity", identity, "--http-port", Integer.toString(port));
    }

    private static String metrics(int port) throws Exception {
        return get(port, "/metrics").body();
    }

    private static HttpResponse<String> get(int port, String path) throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            return client.send(
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + path))
                            .build(),
                    HttpResponse.BodyHandlers.ofString());
        }
    }
}
