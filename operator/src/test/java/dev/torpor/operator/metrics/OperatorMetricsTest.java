package dev.torpor.operator.metrics;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.telemetry.metrics.DocumentedMetrics;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class OperatorMetricsTest {
    private final OperatorMetrics metrics = new OperatorMetrics();
    private final AtomicBoolean leads = new AtomicBoolean();
    private final List<VMSnapshot> objects = new ArrayList<>();

    @BeforeEach
    void watch() {
        metrics.watch(new ObjectCount<>(
                "VMSnapshot",
                List.of(SnapshotPhase.values()),
                VMSnapshotStatus::getPhase,
                VMSnapshotStatus::getConditions,
                objects::stream));
        metrics.leadership(leads::get);
    }

    @Test
    void objectsAreCountedByPhaseAndTheirFailuresByReason() {
        objects.add(new VMSnapshot());
        objects.add(stalled("NotEnoughSpace"));
        objects.add(stalled("NotEnoughSpace"));
        objects.add(stalled("Whatever somebody wrote"));
        assertThat(metrics.scrape())
                .contains("torpor_operator_objects{kind=\"VMSnapshot\",phase=\"Failed\"} 3.0")
                .contains("torpor_operator_objects{kind=\"VMSnapshot\",phase=\"Ready\"} 0.0")
                .contains("torpor_operator_objects{kind=\"VMSnapshot\",phase=\"Unseen\"} 1.0")
                .contains("torpor_operator_objects_stalled{kind=\"VMSnapshot\",reason=\"NotEnoughSpace\"} 2.0")
                .contains("torpor_operator_objects_stalled{kind=\"VMSnapshot\",reason=\"Other\"} 1.0");
        objects.clear();
        assertThat(metrics.scrape())
                .contains("torpor_operator_objects{kind=\"VMSnapshot\",phase=\"Failed\"} 0.0")
                .doesNotContain("NotEnoughSpace");
    }

    @Test
    void leadershipAndCertificateShowAsTheyAre() {
        assertThat(metrics.scrape())
                .contains("torpor_operator_leader 0.0")
                .contains("torpor_operator_webhook_certificate_expiry_timestamp_seconds NaN");
        leads.set(true);
        metrics.certificateExpiry(() -> Optional.of(Instant.ofEpochSecond(1_800_000_000)));
        metrics.admitted(OperatorMetrics.Admission.DENIED);
        assertThat(metrics.scrape())
                .contains("torpor_operator_leader 1.0")
                .contains("torpor_operator_webhook_certificate_expiry_timestamp_seconds 1.8E9")
                .contains("torpor_operator_admissions_total{decision=\"denied\"} 1.0")
                .contains("torpor_operator_admissions_total{decision=\"mutated\"} 0.0");
    }

    @Test
    void theFrameworksMetricsSayWhatTheyAreAndNameNoObject() {
        String name = "operator.sdk.reconciliations.started";
        metrics.registry()
                .counter(name, "namespace", "vms", "name", "web-0", "kind", "Pod", "version", "v1")
                .increment();
        metrics.registry()
                .counter(
                        name,
                        "namespace",
                        "vms",
                        "name",
                        "web",
                        "group",
                        "torpor.dev",
                        "kind",
                        "VMSnapshot",
                        "version",
                        "v1alpha1")
                .increment();
        assertThat(metrics.scrape())
                .contains("# HELP operator_sdk_reconciliations_started_total Reconciliations that were begun")
                .contains("operator_sdk_reconciliations_started_total{group=\"core\",kind=\"Pod\",version=\"v1\"} 1.0")
                .contains(
                        "operator_sdk_reconciliations_started_total{group=\"torpor.dev\",kind=\"VMSnapshot\",version=\"v1alpha1\"} 1.0");
    }

    @Test
    void whatIsShownIsWhatIsDocumented() throws IOException {
        objects.add(stalled("NotEnoughSpace"));
        assertThat(DocumentedMetrics.exposed(metrics.scrape(), "torpor_operator_"))
                .containsExactlyElementsOf(DocumentedMetrics.documented("torpor_operator_"));
    }

    private static VMSnapshot stalled(String reason) {
        return Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms}
                spec: {vmName: web}
                status:
                  phase: Failed
                  conditions: [{type: Stalled, status: "True", reason: "%s"}]
                """.formatted(reason), VMSnapshot.class);
    }
}
