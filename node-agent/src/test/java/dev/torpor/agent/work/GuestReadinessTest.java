package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.client.ConfigBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GuestReadinessTest {
    private static final String POD = "p1";
    private static final String SINCE = " 2026-01-02T03:04:05Z";

    private final FakeVms vms = new FakeVms();
    private final FakeCluster cluster = new FakeCluster(new VMSnapshot());
    private final Clock clock = Clock.fixed(Instant.parse("2026-01-02T03:04:05Z"), ZoneOffset.UTC);
    private final GuestReadiness readiness = new GuestReadiness(vms, cluster, clock);

    @Test
    void podOfARunningGuestIsReadyAndThatIsSaidOnce() {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());

        assertThat(readiness.due()).containsExactly(POD);
        assertThat(readiness.due()).as("not twice at a time").isEmpty();
        look();
        look();
        assertThat(readiness.due()).as("not again at once").isEmpty();
        assertThat(cluster.told()).containsExactly("vms/web p1 RUNNING" + SINCE);
    }

    @Test
    void podWithoutTheGateIsLeftAlone() {
        readiness.seen(pod("example.com/theirs").build());

        assertThat(readiness.due()).isEmpty();
        readiness.saving(POD);
        readiness.starting(POD);
        look();
        assertThat(cluster.told()).isEmpty();
    }

    @Test
    void guestThatIsPausedForASaveIsNotReadyUntilItGoesOn() {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        look();
        readiness.saving(POD);
        readiness.changed(POD);
        assertThat(readiness.due()).containsExactly(POD);
        look();

        assertThat(cluster.told())
                .containsExactly(
                        "vms/web p1 RUNNING" + SINCE, "vms/web p1 SAVING" + SINCE, "vms/web p1 RUNNING" + SINCE);
    }

    @Test
    void onlyTheReasonIsNewWhileItStaysNotReady() {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        readiness.starting(POD);
        vms.running = false;
        vms.stopped = "inmigrate";
        look();

        assertThat(cluster.told()).containsExactly("vms/web p1 STARTING" + SINCE, "vms/web p1 LOADING as before");
    }

    @ParameterizedTest
    @CsvSource({"SocketMissing", "QEMUGone"})
    void podWithoutQemuIsNotReady(FailureReason why) {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        vms.unreachable = why;
        look();

        assertThat(cluster.told()).containsExactly("vms/web p1 STARTING" + SINCE);
    }

    @ParameterizedTest
    @CsvSource({"inmigrate,LOADING", "paused,PAUSED", "io-error,PAUSED", "postmigrate,PAUSED"})
    void guestThatDoesNotRunIsNotReady(String state, GuestState told) {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        vms.running = false;
        vms.stopped = state;
        look();

        assertThat(cluster.told()).containsExactly("vms/web p1 " + told + SINCE);
    }

    @ParameterizedTest
    @CsvSource({"QMPTimeout", "NotQEMU"})
    void whatWasSaidStandsWhileTheMonitorTellsNothing(FailureReason why) {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        look();
        vms.unreachable = why;
        look();

        assertThat(cluster.told()).containsExactly("vms/web p1 RUNNING" + SINCE);
    }

    @Test
    void nextAgentGoesOnFromWhatWasSaid() {
        readiness.seen(pod(Torpor.GUEST_RUNNING)
                .withNewStatus()
                .addNewCondition()
                .withType(Torpor.GUEST_RUNNING)
                .withStatus("True")
                .withReason("Running")
                .endCondition()
                .endStatus()
                .build());
        look();
        assertThat(cluster.told()).isEmpty();

        vms.unreachable = FailureReason.SocketMissing;
        look();
        assertThat(cluster.told()).containsExactly("vms/web p1 STARTING" + SINCE);
    }

    @Test
    void apiServerThatIsAwayHoldsNothingUpAndIsToldLater() {
        try (KubernetesClient away = new KubernetesClientBuilder()
                .withConfig(new ConfigBuilder()
                        .withMasterUrl("http://127.0.0.1:1")
                        .withRequestRetryBackoffLimit(0)
                        .build())
                .build()) {
            GuestReadiness unheard = new GuestReadiness(vms, new ApiCluster(away, "n1"), clock);
            unheard.seen(pod(Torpor.GUEST_RUNNING).build());
            unheard.saving(POD);

            assertThat(unheard.look(POD)).isEqualTo(Next.onChange());
            unheard.changed(POD);
            assertThat(unheard.due()).containsExactly(POD);
        }
    }

    @Test
    void podThatIsGoneIsNotLookedAtAnyMore() {
        readiness.seen(pod(Torpor.GUEST_RUNNING).build());
        readiness.gone(POD);
        readiness.changed(POD);
        look();

        assertThat(readiness.due()).isEmpty();
        assertThat(cluster.told()).isEmpty();
    }

    private void look() {
        var _ = readiness.look(POD);
    }

    private static PodBuilder pod(String gate) {
        return new PodBuilder()
                .withNewMetadata()
                .withNamespace("vms")
                .withName("web")
                .withUid(POD)
                .endMetadata()
                .withNewSpec()
                .addNewReadinessGate(gate)
                .endSpec();
    }
}
