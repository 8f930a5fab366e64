package dev.torpor.e2e.standin;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodCondition;
import io.fabric8.kubernetes.client.Watch;
import io.fabric8.kubernetes.client.Watcher;
import io.fabric8.kubernetes.client.WatcherException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A VM's pod is Ready while its guest runs, and only then. */
@Tag("standin")
class ReadinessGateIT {
    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void podIsReadyWhileItsGuestRuns() throws Exception {
        List<String> said = new CopyOnWriteArrayList<>();
        try (Watch _ = cluster.client
                .pods()
                .inNamespace(cluster.namespace)
                .withName("web")
                .watch(new Recorder(said))) {
            StandInPod pod = cluster.startVmWithGate("web", 192);
            awaitSaid("web", "True Running");
            awaitReady("web", "True");

            cluster.snapshot("web-checkpoint", "web", "mode: Checkpoint");
            cluster.awaitReady("web-checkpoint");
            awaitSaid("web", "True Running");
            awaitReady("web", "True");

            pod.killContainer();
            await("a second start").atMost(StandInCluster.PATIENCE).until(() -> pod.starts() == 2);
            await("guest of the second start")
                    .atMost(StandInCluster.PATIENCE)
                    .until(() -> said.stream().filter("False Starting"::equals).count() == 2
                            && said.getLast().equals("True Running"));
        }
        assertThat(said)
                .containsSubsequence(
                        "False Starting",
                        "True Running",
                        "False Saving",
                        "True Running",
                        "False Starting",
                        "True Running");
    }

    @Test
    void guestThatComesBackPausedIsNotReadyUntilItsOwnerLetsItGoOn() throws Exception {
        StandInPod old = cluster.startVmWithGate("db", 192);
        awaitSaid("db", "True Running");
        cluster.snapshot("db-saved", "db", "mode: ManagedSave", "resume: Manual");
        cluster.awaitReady("db-saved");
        Tick last = old.lastTick().orElseThrow();
        cluster.giveGateToHeld("db", 192);

        cluster.restore("db-back", "db-saved", "runState: Paused");
        VMRestore back = cluster.awaitRunning("db-back");
        assertThat(Conditions.find(back.getStatus().getConditions(), ConditionType.READY)
                        .orElseThrow()
                        .getMessage())
                .endsWith("The VM is paused, as it was asked for or as its owner had it.");
        awaitSaid("db", "False Paused");
        awaitReady("db", "False");
        cluster.awaitSnapshot("db-saved", status -> status.getPhase() == SnapshotPhase.Consumed);
        StandInPod pod = cluster.pod("db");
        assertThat(pod.uid()).isNotEqualTo(old.uid());
        assertThat(pod.lastTick()).isEmpty();

        try (Directory volume = Directory.open(pod.volume());
                Descriptor socket = volume.openFile("qmp.sock", Access.NAME_ONLY);
                QmpClient qmp = QmpClient.connect(socket, QmpLimits.DEFAULT)) {
            assertThat(qmp.execute("query-status").path("status").asText()).isEqualTo("paused");
            var _ = qmp.execute("cont");
        }
        StandInCluster.awaitGoingOn(pod, last);
        awaitSaid("db", "True Running");
        awaitReady("db", "True");
    }

    @Test
    void nextAgentFindsWhatHappenedWhileNoneWasThere() throws Exception {
        StandInPod pod = cluster.startVmWithGate("mail", 192);
        awaitSaid("mail", "True Running");
        cluster.terminateAgent();
        pod.killContainer();
        await("the launcher asks").atMost(StandInCluster.PATIENCE).until(() -> pod.starts() == 2);
        assertThat(condition("mail", Torpor.GUEST_RUNNING))
                .as("nobody is there to say otherwise")
                .isEqualTo("True Running");
        awaitReady("mail", "True");

        // The first of them may be over before it is looked for.
        List<String> said = new CopyOnWriteArrayList<>();
        try (Watch _ = cluster.client
                .pods()
                .inNamespace(cluster.namespace)
                .withName("mail")
                .watch(new Recorder(said))) {
            cluster.restartAgent("never");
            await("what the next agent says").atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(said)
                    .containsSubsequence("False Starting", "True Running"));
        }
    }

    private static void awaitSaid(String pod, String expected) {
        await(pod + ": " + expected).atMost(StandInCluster.PATIENCE).untilAsserted(() -> assertThat(
                        condition(pod, Torpor.GUEST_RUNNING))
                .isEqualTo(expected));
    }

    private static void awaitReady(String pod, String expected) {
        await(pod + " ready: " + expected)
                .atMost(StandInCluster.PATIENCE)
                .untilAsserted(() -> assertThat(condition(pod, "Ready")).startsWith(expected));
    }

    private static String condition(String pod, String type) {
        return Optional.ofNullable(cluster.client
                        .pods()
                        .inNamespace(cluster.namespace)
                        .withName(pod)
                        .get())
                .map(found -> said(found, type))
                .orElse("no pod");
    }

    private static String said(Pod pod, String type) {
        return pod.getStatus().getConditions().stream()
                .filter(condition -> type.equals(condition.getType()))
                .map((PodCondition condition) -> condition.getStatus() + " " + condition.getReason())
                .findFirst()
                .orElse("nothing");
    }

    private record Recorder(List<String> said) implements Watcher<Pod> {
        @Override
        public void eventReceived(Action action, Pod pod) {
            String now = ReadinessGateIT.said(pod, Torpor.GUEST_RUNNING);
            if (said.isEmpty() || !said.getLast().equals(now)) {
                said.add(now);
            }
        }

        @Override
        public void onClose(WatcherException e) {}
    }
}
