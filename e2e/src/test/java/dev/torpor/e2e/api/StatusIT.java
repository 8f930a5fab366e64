package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.TestNamespace;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** Status with two writers, and how people and scripts read it. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class StatusIT {
    private static final Path MANIFESTS = Path.of("src/test/resources/dev/torpor/e2e/api/status");
    private static final Pattern COLUMN_GAP = Pattern.compile(" {2,}");
    private static final String OPERATOR = "torpor-operator";
    private static final String AGENT = "torpor-agent";

    @BeforeEach
    void createObjects(ControlPlane cluster, @TestNamespace String namespace) {
        cluster.kubectl("create", "-n", namespace, "-f", manifest("vmsnapshot"), "-f", manifest("vmrestore"));
    }

    @Test
    void columnsOfSnapshot(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");
        apply(cluster, namespace, AGENT, "vmsnapshot-agent");

        List<String> narrow = lines(cluster.kubectl("get", "vmsnap", "-n", namespace));
        assertThat(cells(narrow.get(0)))
                .containsExactly("NAME", "READY", "PHASE", "VM", "NODE", "PROGRESS", "RATE", "AGE");
        assertThat(cells(narrow.get(1)))
                .startsWith("snap", "False", "Saving", "web", "n1", "37% of 4.0 GiB", "1.9 GiB/s");

        List<String> wide = lines(cluster.kubectl("get", "vmsnap", "-n", namespace, "-o", "wide"));
        assertThat(cells(wide.get(0))).endsWith("AGE", "SIZE", "ENGINE", "CHANNELS", "PAUSED", "REASON");
        assertThat(cells(wide.get(1))).endsWith("1.5 GiB", "qemu-direct", "4", "1.25", "Saving");
    }

    @Test
    void columnsOfRestore(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmrestore-loading");

        List<String> narrow = lines(cluster.kubectl("get", "vmrest", "-n", namespace));
        assertThat(cells(narrow.get(0)))
                .containsExactly("NAME", "READY", "PHASE", "VM", "NODE", "PROGRESS", "RATE", "AGE");
        assertThat(cells(narrow.get(1)))
                .startsWith("restore", "False", "Loading", "web", "n1", "50% of 4.0 GiB", "2.5 GiB/s");

        List<String> wide = lines(cluster.kubectl("get", "vmrest", "-n", namespace, "-o", "wide"));
        assertThat(cells(wide.get(0))).endsWith("AGE", "SNAPSHOT", "POD", "STRATEGY", "LOAD", "REASON");
        assertThat(cells(wide.get(1))).endsWith("snap", "web-pod", "Eager", "0.75", "Loading");
    }

    @Test
    void categoryListsBothKinds(ControlPlane cluster, @TestNamespace String namespace) {
        assertThat(cluster.kubectl("get", "torpor", "-n", namespace, "-o", "name"))
                .contains("vmsnapshot.torpor.dev/snap", "vmrestore.torpor.dev/restore");
    }

    @Test
    void nodeNameIsSelectable(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");
        apply(cluster, namespace, OPERATOR, "vmrestore-loading");

        for (String kind : List.of("vmsnapshots", "vmrestores")) {
            assertThat(selected(cluster, namespace, kind, "n1")).hasSize(1);
            assertThat(selected(cluster, namespace, kind, "n2")).isEmpty();
        }
    }

    @Test
    void explainDescribesFieldsWithUnits(ControlPlane cluster) {
        // What is explained is published a moment after the definitions are served.
        await().atMost(Duration.ofMinutes(1)).untilAsserted(() -> assertThat(
                        cluster.kubectl().tryRun("explain", "vmsnap").output())
                .contains("Saves the memory of one running VM"));
        assertThat(cluster.kubectl("explain", "vmsnap.spec.deadlineSeconds")).contains("Seconds from the creation");
        assertThat(cluster.kubectl("explain", "vmsnap.status.progress.bytesPerSecond"))
                .contains("bytes per second");
        assertThat(cluster.kubectl("explain", "vmrest.spec.disks")).contains("ENUM:", "Unchanged");
    }

    @Test
    void waitEndsWithReady(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");
        String[] wait = {"wait", "--for=condition=Ready", "-n", namespace, "vmsnap/snap"};

        assertThat(cluster.kubectl().tryRun(with(wait, "--timeout=1s")).output())
                .contains("timed out waiting for the condition");
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator-ready");
        assertThat(cluster.kubectl(with(wait, "--timeout=30s"))).contains("condition met");
    }

    @Test
    void writersKeepTheirOwnConditions(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, AGENT, "vmsnapshot-agent");
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator-ready");

        assertThat(cluster.kubectl(
                        "get",
                        "vmsnap/snap",
                        "-n",
                        namespace,
                        "-o",
                        "jsonpath={range .status.conditions[*]}{.type}={.status} {end}{.status.channels}"))
                .contains("Saved=False", "Ready=True")
                .endsWith("4");
    }

    @Test
    void conditionOfAnotherWriterIsRefused(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");

        Kubectl.Result result = tryApply(cluster, namespace, AGENT, "vmsnapshot-agent-takes-ready");

        assertThat(result.code()).isNotZero();
        assertThat(result.output()).contains("with \"torpor-operator\"", "[type=\"Ready\"]");
    }

    @Test
    void applyOfTheSpecLeavesStatusAlone(ControlPlane cluster, @TestNamespace String namespace) {
        apply(cluster, namespace, OPERATOR, "vmsnapshot-operator");
        cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", manifest("vmsnapshot-operator-with-spec"));

        assertThat(cluster.kubectl("get", "vmsnap/snap", "-n", namespace, "-o", "jsonpath={.status.phase}"))
                .isEqualTo("Saving");
    }

    private static void apply(ControlPlane cluster, String namespace, String manager, String name) {
        Kubectl.Result result = tryApply(cluster, namespace, manager, name);
        assertThat(result.code()).as(result.output()).isZero();
    }

    private static Kubectl.Result tryApply(ControlPlane cluster, String namespace, String manager, String name) {
        return cluster.kubectl()
                .tryRun(
                        "apply",
                        "--server-side",
                        "--subresource=status",
                        "--field-manager=" + manager,
                        "-n",
                        namespace,
                        "-f",
                        manifest(name));
    }

    private static List<String> selected(ControlPlane cluster, String namespace, String kind, String node) {
        return lines(cluster.kubectl(
                "get", kind, "-n", namespace, "--field-selector", "status.nodeName=" + node, "-o", "name"));
    }

    private static String manifest(String name) {
        return MANIFESTS.resolve(name + ".yaml").toAbsolutePath().toString();
    }

    private static String[] with(String[] arguments, String last) {
        String[] all = Arrays.copyOf(arguments, arguments.length + 1);
        all[arguments.length] = last;
        return all;
    }

    private static List<String> lines(String text) {
        return text.lines().toList();
    }

    /** Columns are three blanks apart; a cell may contain single ones. */
    private static List<String> cells(String line) {
        return COLUMN_GAP.splitAsStream(line.strip()).toList();
    }
}
