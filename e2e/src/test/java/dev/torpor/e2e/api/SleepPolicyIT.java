package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Kubectl;
import java.time.Duration;
import java.util.UUID;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What the chart's policies say where the webhook was not asked: nobody boots a VM whose memory waits. Tried as admin. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
class SleepPolicyIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final String GATED = "schedulingGates: [{name: torpor.dev/saved}], ";

    private ControlPlane cluster;
    private String namespace;
    private Kubectl admin;

    @BeforeEach
    void makeNamespace(InstalledChart chart) {
        cluster = chart.cluster();
        namespace = cluster.createNamespace("asleep");
        admin = cluster.kubectl();
    }

    @Test
    void aPodOfASavedVmMustBeHeld() {
        snapshot("ManagedSave", "Saved", "True", "Committed");
        awaitRefusal();

        assertThat(create("held", "db", GATED).code()).isZero();
        assertThat(create("by-hand", "db", "nodeName: n1, ").output())
                .contains("VM db is saved: VMSnapshot saved has its memory");
        assertThat(create("other", "web", "").code()).isZero();
    }

    @Test
    void nobodyTakesTheGateOffByHand() {
        assertThat(create("held", "db", GATED).code()).isZero();
        snapshot("ManagedSave", "Saved", "True", "Committed");
        awaitRefusal();

        assertThat(ungate().output()).contains("VM db is saved: VMSnapshot saved has its memory");
        assertThat(admin.tryRun("annotate", "pod", "held", "-n", namespace, "a=b")
                        .code())
                .as("what else changes is nobody's business")
                .isZero();
        admin.run("annotate", "vmsnap", "saved", "-n", namespace, "torpor.dev/discard=true");
        admin.run("delete", "vmsnap", "saved", "-n", namespace);
        await("the discard").atMost(TIMEOUT).until(() -> ungate().code() == 0);
    }

    @ParameterizedTest
    @CsvSource({
        "Save, Saved, True, Committed",
        "Checkpoint, Saved, True, Committed",
        "ManagedSave, Saved, False, Saving",
        "ManagedSave, ImageAvailable, False, Consumed",
        "ManagedSave, ImageAvailable, True, Stale"
    })
    void whatDoesNotWaitHoldsNothing(String mode, String type, String status, String reason) {
        snapshot(mode, type, status, reason);

        assertThat(create("free", "db", "").code()).isZero();
    }

    @Test
    void aStatusThatABackupBroughtBackHoldsNothing() {
        snapshot("ManagedSave", "Saved", "True", "Committed");
        awaitRefusal();
        admin.run(
                "patch",
                "vmsnap",
                "saved",
                "-n",
                namespace,
                "--subresource=status",
                "--type=merge",
                "-p={\"status\":{\"manifestRevision\":\"torpor-of-another\"}}");

        await("the policy")
                .atMost(TIMEOUT)
                .until(() -> create("free-" + System.nanoTime(), "db", "").code() == 0);
    }

    @Test
    void onlyTheOperatorAdoptsAnImage() {
        assertThat(admin.tryWithInput("""
                        apiVersion: torpor.dev/v1alpha1
                        kind: VMSnapshot
                        metadata: {name: mine, namespace: %s}
                        spec: {vmName: db, mode: ManagedSave, source: {imageUID: somebody-elses}}
                        """.formatted(namespace), "create", "-f", "-")
                        .output())
                .contains("only torpor-operator makes VMSnapshots of");
    }

    /** The policy's view of VMSnapshots follows theirs a moment later. */
    private void awaitRefusal() {
        await("the policy").atMost(TIMEOUT).until(() -> create("db-" + System.nanoTime(), "db", "")
                .output()
                .contains("A pod of it must wait behind the scheduling gate torpor.dev/saved"));
    }

    private Kubectl.Result ungate() {
        return admin.tryRun(
                "patch",
                "pod",
                "held",
                "-n",
                namespace,
                "--type=json",
                "-p=[{\"op\":\"remove\",\"path\":\"/spec/schedulingGates/0\"}]");
    }

    private void snapshot(String mode, String type, String status, String reason) {
        admin.runWithInput("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: saved, namespace: %s}
                spec: {vmName: db, mode: %s}
                """.formatted(namespace, mode), "create", "-f", "-");
        String uid = cluster.kubectl("get", "vmsnap", "saved", "-n", namespace, "-o=jsonpath={.metadata.uid}");
        admin.run(
                "patch",
                "vmsnap",
                "saved",
                "-n",
                namespace,
                "--subresource=status",
                "--type=merge",
                "-p={\"status\":{\"nodeName\":\"n1\",\"manifestRevision\":\"torpor-" + uid + "-" + UUID.randomUUID()
                        + "\",\"conditions\":[{\"type\":\"" + type + "\",\"status\":\"" + status
                        + "\",\"reason\":\"" + reason
                        + "\",\"message\":\"\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}}");
    }

    private Kubectl.Result create(String name, String vm, String more) {
        return admin.tryWithInput("""
                apiVersion: v1
                kind: Pod
                metadata: {name: %s, namespace: %s, labels: {torpor.dev/vm: %s}}
                spec: {%scontainers: [{name: qemu, image: none}]}
                """.formatted(name, namespace, vm, more), "create", "-f", "-");
    }
}
