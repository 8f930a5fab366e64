package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.NodeShutdownStatus;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.OnTermination;
import dev.torpor.api.v1alpha1.UnsavedVM;
import dev.torpor.e2e.cluster.FreePorts;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.host.StandInHost;
import dev.torpor.e2e.standin.StandInCluster.AgentOptions;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** The node is shut down without a drain: a real logind tells over a real bus, and waits. */
@Tag("standin")
class NodeShutdownIT {
    private static final int LONG_SECONDS = 90;

    @Test
    void vmsAreSavedBeforeTheMachineGoesDownAndGoOnAfterItsBoot() throws Exception {
        try (StandInCluster cluster = new StandInCluster();
                StandInHost host = host(cluster, LONG_SECONDS)) {
            StandInPod db = cluster.startVm("db", 192, 8);
            StandInPod web = cluster.startVmWithHook("web", 160, 8, Optional.empty());
            StandInPod cattle = cluster.startVmWithHook("cattle", 160, 8, Optional.of(OnTermination.Never));
            Tick dbTick = db.lastTick().orElseThrow();
            Tick webTick = web.lastTick().orElseThrow();
            String cattleNonce = cattle.lastTick().orElseThrow().nonce();

            host.reboot();
            awaitShutdown(host, 1);
            assertThat(host.isInhibited()).isFalse();
            cluster.powerOff();
            host.restartLogind(); // one that boots knows of no shutdown
            cluster.powerOn();
            cluster.restartAgent("never");
            NodeShutdownStatus told = awaitReport(cluster);
            assertThat(told.savedVMs()).as(cluster.logs()).isEqualTo(2);
            assertThat(told.unsaved())
                    .extracting(UnsavedVM::vmName, UnsavedVM::reason)
                    .containsExactly(tuple("cattle", "NotWanted"));
            StandInCluster.awaitGoingOn(awaitAnother(cluster, "db", db.uid()), dbTick);
            StandInCluster.awaitGoingOn(awaitAnother(cluster, "web", web.uid()), webTick);
            cluster.pod("cattle").awaitTick(tick -> !tick.nonce().equals(cattleNonce));
        }
    }

    @Test
    void whatDoesNotFitIsNotBegunAndSaysSoAndTheNextShutdownWaitsAgain() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            Files.writeString(cluster.store().resolve("save-rate"), "1000000");
            try (StandInHost host = host(cluster, 8)) {
                StandInPod db = cluster.startVm("db", 192, 8);
                Tick tick = db.lastTick().orElseThrow();

                host.reboot();
                awaitShutdown(host, 1);
                UnsavedVM left = awaitReport(cluster).unsaved().getFirst();
                assertThat(left.reason()).isEqualTo("DeadlineExceeded");
                assertThat(left.message()).contains("logind gave 8.0 s");
                assertThat(cluster.imageFiles()).isEmpty();
                assertThat(cluster.steps()).noneMatch(step -> step.contains("SAVE_RECORD"));
                host.cancelReboot();

                await("a lock again").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
                StandInCluster.awaitGoingOn(db, tick);
                assertThat(db.starts()).isEqualTo(1);
            }
        }
    }

    @Test
    void aShutdownThatIsGivenUpInTheMiddleLeavesTheVmRunning() throws Exception {
        try (StandInCluster cluster = new StandInCluster();
                StandInHost host = host(cluster, LONG_SECONDS)) {
            StandInPod db = cluster.startVm("db", 192, 8);
            Tick tick = db.lastTick().orElseThrow();
            cluster.restartAgent("wait after SAVE_WRITE");
            await("a lock").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
            host.reboot();
            cluster.awaitAgentWaiting();
            // A logind that starts knows of no shutdown, and finds the lock again.
            host.restartLogind();
            await("the agent's word").atMost(StandInCluster.PATIENCE).until(() -> cluster.agentLog().stream()
                    .anyMatch(line -> line.contains("does not shut this node down")));
            cluster.letAgentGoOn();

            NodeShutdownStatus told = awaitReport(cluster);
            assertThat(told.cancelled()).isTrue();
            assertThat(told.savedVMs()).isZero();
            assertThat(told.unsaved()).extracting(UnsavedVM::reason).containsExactly("Cancelled");
            StandInCluster.awaitGoingOn(db, tick);
            await("what was begun is taken back")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> cluster.imageFiles().stream()
                            .noneMatch(file -> file.toString().endsWith(".img")));
            assertThat(host.shutdowns()).isZero();
            await("a lock again").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
        }
    }

    @Test
    void aVmThatWasSavedWhenTheShutdownIsGivenUpGoesOnByItself() throws Exception {
        try (StandInCluster cluster = new StandInCluster();
                StandInHost host = host(cluster, LONG_SECONDS)) {
            StandInPod db = cluster.startVm("db", 192, 8);
            Tick tick = db.lastTick().orElseThrow();

            host.reboot();
            awaitShutdown(host, 1);
            host.cancelReboot();

            StandInPod next = awaitAnother(cluster, "db", db.uid());
            StandInCluster.awaitGoingOn(next, tick);
            await("a lock again").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
        }
    }

    @Test
    void anAgentThatDiesReleasesTheMachineAndTheNextOneLeavesEachVmWholeOrSaved() throws Exception {
        try (StandInCluster cluster = new StandInCluster();
                StandInHost host = host(cluster, LONG_SECONDS)) {
            StandInPod pod = cluster.startVm("db", 192, 8);
            Tick tick = pod.lastTick().orElseThrow();
            int shutdowns = 0;
            for (Map.Entry<String, Boolean> step :
                    Map.of("after SAVE_PAUSE", false, "after SAVE_COMMIT", true).entrySet()) {
                String uid = pod.uid();
                cluster.restartAgent(step.getKey());
                await("a lock").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
                host.reboot();
                cluster.awaitAgentDeath();
                awaitShutdown(host, ++shutdowns);
                cluster.restartAgent("never");
                host.cancelReboot();
                if (step.getValue()) {
                    pod = awaitAnother(cluster, "db", uid);
                }
                tick = StandInCluster.awaitGoingOn(pod, tick);
                assertThat(pod.uid().equals(uid)).as(step.getKey()).isEqualTo(!step.getValue());
            }
        }
    }

    @Test
    void aBusThatIsAwayIsWaitedForAndNothingElseDependsOnIt() throws Exception {
        try (StandInCluster cluster = new StandInCluster()) {
            Path folder = cluster.controlPlane.directory().resolve("host");
            cluster.useSystemBus(folder.resolve("system_bus_socket"));
            int port = FreePorts.take();
            cluster.restartAgent(new AgentOptions("never", 60, port, Map.of()));
            await("a ready agent")
                    .atMost(StandInCluster.PATIENCE)
                    .ignoreExceptions()
                    .until(() -> get(port, "readyz").startsWith("200"));
            assertThat(get(port, "metrics")).contains("torpor_agent_node_shutdown_held 0.0");

            try (StandInHost host = new StandInHost(folder, 30)) {
                await("a lock").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
                await("the metrics").atMost(StandInCluster.PATIENCE).until(() -> {
                    String metrics = get(port, "metrics");
                    return metrics.contains("torpor_agent_node_shutdown_held 1.0")
                            && metrics.contains("torpor_agent_node_shutdown_wait_seconds 30.0");
                });

                host.stopBus();
                await("the metrics").atMost(StandInCluster.PATIENCE).until(() -> get(port, "metrics")
                        .contains("torpor_agent_node_shutdown_held 0.0"));
                assertThat(get(port, "readyz")).startsWith("200");
                assertThat(get(port, "livez")).startsWith("200");

                host.startBusAgain();
                await("a lock again")
                        .atMost(StandInCluster.PATIENCE)
                        .until(() -> host.isInhibited()
                                && get(port, "metrics").contains("torpor_agent_node_shutdown_held 1.0"));
            }
        }
    }

    private static StandInHost host(StandInCluster cluster, int waitSeconds) throws Exception {
        StandInHost host = new StandInHost(cluster.controlPlane.directory().resolve("host"), waitSeconds);
        cluster.useSystemBus(host.bus());
        cluster.restartAgent("never");
        await("a lock").atMost(StandInCluster.PATIENCE).until(host::isInhibited);
        return host;
    }

    private static StandInPod awaitAnother(StandInCluster cluster, String name, String uid) {
        return await("another pod " + name)
                .atMost(StandInCluster.PATIENCE)
                .until(() -> cluster.pod(name), pod -> !pod.uid().equals(uid));
    }

    private static void awaitShutdown(StandInHost host, int number) {
        await("the machine goes down").atMost(StandInCluster.PATIENCE).until(() -> host.shutdowns() == number);
    }

    private static NodeShutdownStatus awaitReport(StandInCluster cluster) {
        return await("a report")
                .atMost(StandInCluster.PATIENCE)
                .until(
                        () -> Optional.ofNullable(cluster.client
                                        .resources(NodeStore.class)
                                        .withName(StandInCluster.NODE)
                                        .get())
                                .map(NodeStore::getStatus)
                                .map(NodeStoreStatus::lastShutdown),
                        Optional::isPresent)
                .orElseThrow();
    }

    private static String get(int port, String path) throws IOException, InterruptedException {
        try (HttpClient client = HttpClient.newHttpClient()) {
            var answer = client.send(
                    HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/" + path))
                            .build(),
                    BodyHandlers.ofString());
            return answer.statusCode() + " " + answer.body();
        }
    }
}
