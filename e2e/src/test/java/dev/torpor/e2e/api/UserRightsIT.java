package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.Kubectl;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowingConsumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What people may do who were given the chart's ClusterRoles in a namespace. */
@Tag("api")
@ExtendWith(InstalledChartExtension.class)
class UserRightsIT {
    private static final Duration TIMEOUT = Duration.ofSeconds(30);
    private static final String USER = "jane";

    private ControlPlane cluster;
    private String namespace;
    private Kubectl jane;

    @BeforeEach
    void makeNamespace(InstalledChart chart) {
        cluster = chart.cluster();
        namespace = cluster.createNamespace("team");
        jane = cluster.kubectlOf(cluster.kubeconfigOf(USER));
        cluster.kubectl().runWithInput(snapshot("saved", "Save"), "create", "-f", "-");
    }

    @Test
    void viewSeesAndChangesNothing() {
        bind("view");
        awaitCan("get", "vmsnapshots");

        assertThat(jane.run("get", "vmsnap,vmrest", "-n", namespace)).contains("saved");
        assertThat(create(snapshot("mine", "Checkpoint"))).satisfies(refusedWith("cannot create resource"));
    }

    @Test
    void editMakesCheckpointsAndDeletes() {
        bind("edit");
        awaitCan("create", "vmsnapshots");

        assertThat(create(snapshot("mine", "Checkpoint"))).satisfies(UserRightsIT::accepted);
        assertThat(jane.tryRun("delete", "vmsnap", "mine", "-n", namespace)).satisfies(UserRightsIT::accepted);
    }

    @ParameterizedTest
    @ValueSource(strings = {"Save", "ManagedSave"})
    void editDoesNotStopVms(String mode) {
        bind("edit");
        awaitCan("create", "vmsnapshots");

        assertThat(create(snapshot("mine", mode)))
                .satisfies(
                        refusedWith("mode %s stops the VM, and jane may not stop VMs in namespace %s: ask for the role"
                                .formatted(mode, namespace)));
    }

    @Test
    void aModeThatIsLeftOutStopsTheVmToo() {
        bind("edit");
        awaitCan("create", "vmsnapshots");

        assertThat(create(snapshot("mine", "Save").replace(", mode: Save", "")))
                .satisfies(refusedWith("mode Save stops the VM"));
    }

    @Test
    void editNeitherRestoresNorWritesWhatTheOperatorBelieves() {
        bind("edit");
        awaitCan("create", "vmsnapshots");

        assertThat(create(restore())).satisfies(refusedWith("cannot create resource \"vmrestores\""));
        for (String resource : List.of("vmsnapshotclasses", "controllerrevisions.apps")) {
            assertThat(can("patch", resource)).as(resource).isFalse();
        }
        for (String resource : List.of("vmsnapshots", "vmrestores")) {
            assertThat(can("patch", resource, "--subresource=status"))
                    .as(resource)
                    .isFalse();
        }
        assertThat(can("stop", "vmsnapshots")).isFalse();
        assertThat(can("restore", "vmsnapshots")).isFalse();
    }

    @Test
    void vmStopStops() {
        bind("torpor-vm-stop");
        awaitCan("stop", "vmsnapshots");

        assertThat(create(snapshot("mine", "Save"))).satisfies(UserRightsIT::accepted);
    }

    @Test
    void whoMayNotStopVmsHasNoneShutDownEither() {
        bind("edit");
        awaitCan("patch", "vmsnapshots");
        String[] annotate = {"annotate", "vmsnap", "saved", "-n", namespace, "torpor.dev/shut-down=p/1"};

        assertThat(jane.tryRun(annotate))
                .satisfies(refusedWith("jane may not stop VMs in namespace %s: ask for the role".formatted(namespace)));
        assertThat(jane.tryRun("annotate", "vmsnap", "saved", "-n", namespace, "mine=yes"))
                .satisfies(UserRightsIT::accepted);

        bind("torpor-vm-stop");
        awaitCan("stop", "vmsnapshots");
        assertThat(jane.tryRun(annotate)).satisfies(UserRightsIT::accepted);
    }

    @Test
    void vmStopInOneNamespaceIsNoneInAnother() {
        bind("torpor-vm-stop");
        awaitCan("stop", "vmsnapshots");
        String there = cluster.createNamespace("other");
        cluster.kubectl("create", "rolebinding", "edit", "-n", there, "--clusterrole=edit", "--user=" + USER);

        assertThat(create(snapshot("mine", "Save").replace(namespace, there)))
                .satisfies(refusedWith("jane may not stop VMs in namespace " + there));
    }

    @Test
    void vmRestoreRestoresForWhoMayCreatePods() {
        bind("torpor-vm-restore");
        awaitCan("restore", "vmsnapshots");
        assertThat(create(restore()))
                .satisfies(refusedWith(
                        "a restore creates the pod of the VM, and jane may not create pods in namespace " + namespace));

        bind("edit");
        awaitCan("create", "pods");

        assertThat(create(restore())).satisfies(UserRightsIT::accepted);
    }

    @Test
    void theRightToCreateARestoreIsNotTheRightToRestore() {
        bind("edit");
        cluster.kubectl("create", "role", "creator", "-n", namespace, "--verb=create", "--resource=vmrestores");
        cluster.kubectl("create", "rolebinding", "creator", "-n", namespace, "--role=creator", "--user=" + USER);
        awaitCan("create", "vmrestores");

        assertThat(create(restore()))
                .satisfies(refusedWith("jane may not restore VMSnapshot saved in namespace " + namespace));
    }

    @Test
    void restoringMayBeGrantedForOneSnapshot() {
        bind("edit");
        cluster.kubectl("create", "role", "creator", "-n", namespace, "--verb=create", "--resource=vmrestores");
        cluster.kubectl("create", "rolebinding", "creator", "-n", namespace, "--role=creator", "--user=" + USER);
        cluster.kubectl().runWithInput("""
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata: {name: one, namespace: %s}
                rules: [{apiGroups: [torpor.dev], resources: [vmsnapshots], resourceNames: [saved], verbs: [restore]}]
                """.formatted(namespace), "create", "-f", "-");
        cluster.kubectl("create", "rolebinding", "one", "-n", namespace, "--role=one", "--user=" + USER);
        awaitCan("restore", "vmsnapshots/saved");
        awaitCan("create", "vmrestores");

        assertThat(create(restore())).satisfies(UserRightsIT::accepted);
        assertThat(create(restore()
                        .replace("name: back", "name: again")
                        .replace("snapshotName: saved", "snapshotName: x")))
                .satisfies(refusedWith("jane may not restore VMSnapshot x"));
    }

    private void bind(String role) {
        cluster.kubectl("create", "rolebinding", role, "-n", namespace, "--clusterrole=" + role, "--user=" + USER);
    }

    // Roles are aggregated, and bindings heard of, within a moment.
    private void awaitCan(String verb, String resource) {
        await(verb + " " + resource).atMost(TIMEOUT).until(() -> can(verb, resource));
    }

    private boolean can(String verb, String resource, String... options) {
        List<String> arguments = new ArrayList<>(List.of("auth", "can-i", verb, resource, "-n", namespace));
        arguments.addAll(List.of(options));
        return jane.tryRun(arguments.toArray(String[]::new)).code() == 0;
    }

    private Kubectl.Result create(String manifest) {
        return jane.tryWithInput(manifest, "create", "-f", "-");
    }

    private String snapshot(String name, String mode) {
        return """
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: %s, namespace: %s}
                spec: {vmName: web, mode: %s}
                """.formatted(name, namespace, mode);
    }

    private String restore() {
        return """
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: back, namespace: %s}
                spec: {snapshotName: saved}
                """.formatted(namespace);
    }

    private static void accepted(Kubectl.Result result) {
        assertThat(result.code()).as(result.output()).isZero();
    }

    private static ThrowingConsumer<Kubectl.Result> refusedWith(String message) {
        return result -> {
            assertThat(result.output()).contains(message);
            assertThat(result.code()).isNotZero();
        };
    }
}
