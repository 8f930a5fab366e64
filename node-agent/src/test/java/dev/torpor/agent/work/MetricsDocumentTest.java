package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.PartialIntent;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.metrics.AgentMetrics.Outcome;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import dev.torpor.telemetry.log.LogSettings;
import dev.torpor.telemetry.metrics.DocumentedMetrics;
import dev.torpor.telemetry.metrics.Registries;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** All that an agent shows, put together as its process does it. */
class MetricsDocumentTest {
    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @Test
    void whatIsShownIsWhatIsDocumented() throws Exception {
        PrometheusMeterRegistry registry = Registries.create();
        AgentMetrics metrics = new AgentMetrics(registry);
        metrics.saveTrouble(FailureReason.QMPTimeout);
        metrics.restoreTrouble(FailureReason.SocketMissing);
        metrics.saveEnded(Outcome.FAILED, Optional.of(FailureReason.StoreFailed));
        ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();
        FakeCluster cluster = new FakeCluster(new VMSnapshot());
        AgentConfig config = new AgentConfig(
                "n",
                "1",
                temp,
                false,
                temp,
                "torpor-system",
                2,
                0,
                Duration.ofSeconds(60),
                Optional.empty(),
                ScrubSettings.DEFAULT,
                LogSettings.DEFAULT);
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                KubernetesClient client = new KubernetesClientBuilder()
                        .withConfig(new ConfigBuilder()
                                .withMasterUrl("http://127.0.0.1:1")
                                .build())
                        .build()) {
            Node node = new Node(
                    store,
                    new VmJournal(store.directory()),
                    new FakeVms(),
                    cluster,
                    cluster,
                    Clock.systemUTC(),
                    timer,
                    new SaveTurns(2),
                    new UnderWay(),
                    new GuestReadiness(new FakeVms(), cluster, Clock.systemUTC()),
                    metrics,
                    StepHook.NONE,
                    item -> {});
            StoreWatch watch = new StoreWatch(store);
            StoreLease lease =
                    new StoreLease(client, config, store.storeID(), Clock.systemUTC(), metrics::leaseNotRenewed);
            try (Agent agent =
                    new Agent(node, new PodDirectories(temp), new SaveWishes(), new FakeNews(), Optional.empty())) {
                AgentGauges.register(metrics, agent, watch, lease, Optional.empty());
                assertThat(watch.problem()).contains("not looked at yet");
                var _ = store.create(
                        new ImageId("vms", "web", "u1"),
                        new PartialIntent(ImageMode.SAVE, 1, true, Optional.empty(), Instant.EPOCH));
                watch.look();
                String scrape = registry.scrape();
                assertThat(watch.problem()).isEmpty();
                assertThat(lease.problem()).contains("not renewed yet");
                assertThat(scrape)
                        .contains("torpor_agent_images{state=\"partial\"} 1.0")
                        .contains("torpor_agent_images{state=\"complete\"} 0.0")
                        .contains("torpor_agent_saves_in_progress 0.0")
                        .contains("torpor_agent_node_shutdown_held 0.0")
                        .contains("torpor_agent_node_shutdown_needed_seconds NaN");
                assertThat(scrape).containsPattern("torpor_agent_store_free_bytes [1-9]");
                assertThat(DocumentedMetrics.exposed(scrape, "torpor_agent_"))
                        .containsExactlyElementsOf(DocumentedMetrics.documented("torpor_agent_"));
            }
        } finally {
            timer.shutdownNow();
        }
    }
}
