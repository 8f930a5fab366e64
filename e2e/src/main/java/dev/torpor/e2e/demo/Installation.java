package dev.torpor.e2e.demo;

import static org.awaitility.Awaitility.await;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.tree.WorkTree;
import java.time.Duration;

/**
 * What Torpor needs in the API: definitions and namespaces.
 *
 * @param kubectl runs commands in the cluster
 * @param namespace of the demo's own objects
 * @param teardown gets what must be taken away
 * @param kept whether the cluster is somebody's who goes on using it: then what was not there is taken away
 */
record Installation(Kubectl kubectl, String namespace, Teardown teardown, boolean kept) {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    /** Installs what is missing. */
    void install() {
        String manifests = WorkTree.root().resolve("crds/manifests").toString();
        if (kept && kubectl.tryRun("get", "-f", manifests).code() != 0) {
            teardown.add(() -> kubectl.run("delete", "--ignore-not-found", "--timeout=60s", "-f", manifests));
        }
        kubectl.run("apply", "--server-side", "-f", manifests);
        kubectl.run("wait", "--for=condition=Established", "--timeout=30s", "-f", manifests);
        createNamespace(Torpor.SYSTEM_NAMESPACE);
        createNamespace(namespace);
        // Pods are refused until it is there.
        await("the default service account")
                .atMost(PATIENCE)
                .until(() -> kubectl.tryRun("get", "serviceaccount", "default", "-n", namespace)
                                .code()
                        == 0);
    }

    private void createNamespace(String name) {
        if (kubectl.tryRun("get", "namespace", name).code() == 0) {
            return;
        }
        kubectl.run("create", "namespace", name);
        if (kept) {
            teardown.add(() -> kubectl.run("delete", "namespace", name, "--timeout=60s"));
        }
    }

    /** Deletes the demo's objects while operator and agent are there to let them go. */
    static void empty(Kubectl kubectl, String namespace) {
        kubectl.tryRun("delete", "vmrestores,vmsnapshots,pods", "--all", "-n", namespace, "--timeout=60s");
        kubectl.tryRun("delete", "vmsnapshotclass", "torpor-demo", "--ignore-not-found");
    }
}
