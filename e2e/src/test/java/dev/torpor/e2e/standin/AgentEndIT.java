package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/**
 * The agent is told to end (SIGTERM) while QEMU writes: within its grace the VM runs again or its image is safe, before
 * any other agent is there. And what it tells of itself meanwhile.
 */
@Tag("standin")
class AgentEndIT {
    private static final int TOLD_TO_END = 143;

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @SuppressWarnings("NullAway.Init")
    private StandInPod pod;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
        // More than 150 MiB that are not zero: some forty seconds.
        cluster.controlPlane.kubectl().runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: slow}
                spec: {bandwidthBytesPerSecond: 4000000}
                """, "apply", "-f", "-");
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @BeforeEach
    void vm() throws Exception {
        pod = cluster.startVm("web", 320, 128);
    }

    @AfterEach
    void clean() throws Exception {
        cluster.restartAgent("never");
        cluster.controlPlane.kubectl(
                "delete", "vmrestores,vmsnapshots", "--all", "-n", cluster.namespace, "--timeout=120s");
        cluster.deletePod("web");
    }

    @Test
    void checkpointThatFitsTheGraceIsFinishedAtItsOwnPace() throws Exception {
        cluster.restartAgent(AgentOptions.grace(150));
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", "className: slow", "mode: Checkpoint");
        awaitProgress("s");
        assertThat(cluster.terminateAgent()).isEqualTo(TOLD_TO_END);
        assertThat(cluster.agentLog()).noneMatch(line -> line.contains("limit of bandwidth is lifted"));
        assertSaved(cluster.snapshot("s"));
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(pod.starts()).isEqualTo(1);
    }

    @Test
    void checkpointThatDoesNotFitIsHurriedAndTheVmRunsBeforeTheGraceEnds() throws Exception {
        int graceSeconds = 16;
        cluster.restartAgent(AgentOptions.grace(graceSeconds));
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", "className: slow", "mode: Checkpoint");
        awaitProgress("s");
        long told = System.nanoTime();
        assertThat(cluster.terminateAgent()).isEqualTo(TOLD_TO_END);
        assertThat(Duration.ofNanos(System.nanoTime() - told)).isLessThan(Duration.ofSeconds(graceSeconds));
        assertThat(cluster.agentLog()).anyMatch(line -> line.contains("limit of bandwidth is lifted"));
        StandInCluster.awaitGoingOn(pod, before);
        assertThat(pod.starts()).isEqualTo(1);
        assertSaved(cluster.snapshot("s"));
        // Nothing is stuck: the next agent takes up where this one ended.
        cluster.restartAgent("never");
        cluster.awaitReady("s");
    }

    @Test
    void saveIsFinishedAndItsImageIsSafe() throws Exception {
        cluster.restartAgent(AgentOptions.grace(16));
        Tick before = pod.lastTick().orElseThrow();
        cluster.snapshot("s", "web", "className: slow");
        awaitProgress("s");
        assertThat(cluster.terminateAgent()).isEqualTo(TOLD_TO_END);
        assertSaved(cluster.snapshot("s"));
        cluster.restartAgent("never");
        cluster.awaitReady("s");
        cluster.restore("back", "s");
        cluster.awaitRunning("back");
        StandInCluster.awaitGoingOn(cluster.pod("web"), before);
    }

    @Test
    void anAgentTellsOfItselfByHttpAndJson() throws Exception {
        int port = FreePorts.take();
        cluster.restartAgent(new AgentOptions("never", 60, port, Map.of("TORPOR_LOG_FORMAT", "json")));
        await("readiness").atMost(StandInCluster.PATIENCE).ignoreExceptions().untilAsserted(() -> {
            HttpResponse<String> ready = get(port, "/readyz");
            assertThat(ready.body()).isEqualTo("informers: ok\nlease: ok\nserving: ok\nstore: ok\n");
            assertThat(ready.statusCode()).isEqualTo(200);
        });
        assertThat(get(port, "/livez").body()).isEqualTo("scan: ok\nworkers: ok\n");
        cluster.snapshot("s", "web", "mode: Checkpoint");
        cluster.awaitReady("s");
        await("the save's metrics").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(
                        get(port, "/metrics").body())
                .contains("torpor_agent_saves_total{outcome=\"done\",reason=\"none\"} 1.0")
                .contains("torpor_agent_save_paused_seconds_count 1")
                .contains("torpor_agent_images{state=\"verified\"} 1.0")
                .containsPattern("torpor_agent_save_written_bytes_total [1-9]"));
        List<JsonNode> lines = new ArrayList<>();
        for (String line : cluster.agentLog()) {
            lines.add(new ObjectMapper().readTree(line));
        }
        String uid = cluster.snapshot("s").getMetadata().getUid();
        assertThat(lines)
                .anySatisfy(line -> assertThat(line.path("message").asText()).startsWith("starting with AgentConfig["))
                .anySatisfy(line -> {
                    assertThat(line.path("message").asText()).endsWith("/s: saved");
                    assertThat(line.path("kind").asText()).isEqualTo("VMSnapshot");
                    assertThat(line.path("namespace").asText()).isEqualTo(cluster.namespace);
                    assertThat(line.path("name").asText()).isEqualTo("s");
                    assertThat(line.path("uid").asText()).isEqualTo(uid);
                    assertThat(line.path("attempt").asText()).isEqualTo("1");
                });
    }

    private static void assertSaved(VMSnapshot snapshot) {
        assertThat(Conditions.isTrue(requireNonNull(snapshot.getStatus()).getConditions(), ConditionType.SAVED))
                .isTrue();
    }

    private static void awaitProgress(String name) {
        cluster.awaitSnapshot(
                name,
                status -> status.getProgress() != null
                        && requireNonNull(status.getProgress().percent()) > 0);
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
