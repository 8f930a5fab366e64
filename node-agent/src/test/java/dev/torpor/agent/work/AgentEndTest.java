package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What else comes while a VM is being saved, on a real store: the agent is told to end, or the VM's pod is. */
class AgentEndTest {
    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newScheduledThreadPool(2);
    private final SimpleMeterRegistry registry = new SimpleMeterRegistry();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private VMSnapshot snapshot;

    @SuppressWarnings("NullAway.Init")
    private Agent agent;

    @BeforeEach
    void start() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        snapshot = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s", finalizers: [torpor.dev/image]}
                spec: {vmName: web, mode: Checkpoint}
                status: {nodeName: n, storeID: "%s", pod: {name: web, uid: p1}}
                """.formatted(Instant.now(), store.storeID()), VMSnapshot.class);
        FakeCluster cluster = new FakeCluster(snapshot);
        PodDirectories pods = new PodDirectories(temp.resolve("kubelet"));
        Node node = new Node(
                store,
                new VmJournal(store.directory()),
                vms,
                cluster,
                cluster,
                Clock.systemUTC(),
                timer,
                new SaveTurns(2),
                new UnderWay(),
                new GuestReadiness(vms, cluster, Clock.systemUTC()),
                new AgentMetrics(registry),
                StepHook.NONE,
                item -> {});
        agent = new Agent(node, pods, new SaveWishes(), new FakeNews(), Optional.empty());
    }

    @AfterEach
    void stop() throws Exception {
        agent.close();
        timer.shutdownNow();
        store.close();
    }

    @Test
    void aSaveThatIsTooSlowIsHurriedThenUndoneAndNotBegunAgain() throws Exception {
        save();
        assertThat(agent.savesInProgress()).isEqualTo(1);
        // A quarter of it is what undoing may take.
        agent.end(Duration.ofSeconds(8));
        assertThat(vms.hurried).isTrue();
        assertThat(vms.running).isTrue();
        assertThat(vms.saves).hasValue(1);
        assertThat(store.record(image())).isEmpty();
        assertThat(registry.get("torpor.agent.save.troubles")
                        .tag("reason", "AgentRestarted")
                        .counter()
                        .count())
                .isEqualTo(1);
    }

    @Test
    void undoingIsTriedAgainWithinTheGrace() throws Exception {
        save();
        vms.deaf.set(2);
        agent.end(Duration.ofSeconds(8));
        assertThat(vms.deaf).hasValue(0);
        assertThat(vms.running).isTrue();
        assertThat(store.record(image())).isEmpty();
    }

    @Test
    void whatQemuDoesNotFinishInTimeIsLeftToTheNextAgent() throws Exception {
        vms.obeys = false;
        save();
        long began = System.nanoTime();
        agent.end(Duration.ofSeconds(1));
        agent.close();
        assertThat(Duration.ofNanos(System.nanoTime() - began)).isLessThan(Duration.ofSeconds(20));
        assertThat(store.partial(image())).isPresent();
        assertThat(vms.saves).hasValue(1);
    }

    @Test
    void nothingIsBegunOnceTheAgentEnds() throws Exception {
        agent.end(Duration.ofSeconds(30));
        agent.snapshot(snapshot);
        agent.scan();
        assertThat(agent.workQueued()).isZero();
        assertThat(vms.connects).hasValue(0);
        assertThat(agent.ending()).isTrue();
    }

    @Test
    void aHookThatComesWhileItsVmIsBeingSavedIsToldToWait() throws Exception {
        agent.pod(new PodBuilder()
                .withNewMetadata()
                .withName("web")
                .withNamespace("vms")
                .withUid("p1")
                .addToLabels(Torpor.VM_LABEL, "web")
                .endMetadata()
                .withNewSpec()
                .endSpec()
                .build());
        save();
        try (PodHook hook = PodHook.ask(temp.resolve("kubelet"), "p1", "x")) {
            agent.scan();
            assertThat(hook.heard()).contains("say something else is done with this VM first");
            agent.scan();
            assertThat(hook.heard()).as("once").isEqualTo("\n");
        }
        agent.end(Duration.ofSeconds(2));
    }

    private void save() throws InterruptedException {
        agent.snapshot(snapshot);
        assertThat(vms.writing.await(30, TimeUnit.SECONDS)).isTrue();
    }

    private static ImageId image() {
        return new ImageId("vms", "web", "u1");
    }
}
