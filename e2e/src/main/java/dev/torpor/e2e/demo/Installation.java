package dev.torpor.e2e.demo;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Command;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.install.InstalledTorpor;
import dev.torpor.e2e.tree.WorkTree;
import java.time.Duration;

/**
 * Torpor in the demo's cluster, and a namespace for the demo's objects.
 *
 * @param cluster where
 * @param torpor what
 * @param namespace of the demo's own objects
 * @param teardown gets what must be taken away
 */
record Installation(DemoCluster cluster, InstalledTorpor torpor, String namespace, Teardown teardown) {
    private static final Duration PATIENCE = Duration.ofMinutes(1);

    /** Installs Torpor by its chart, unless it is there, and makes the namespace. */
    void install(Story story) {
        if (torpor.isThere()) {
            story.output("Torpor is in this cluster already: it is used as it is");
        } else {
            if (cluster.kept()) {
                takeAwayInTheEnd();
            }
            story.command(torpor.installCommand());
            torpor.install(cluster.kept() ? onThisNodeOnly() : new String[0]);
        }
        createNamespace();
    }

    /** Only this machine has the images. */
    private String[] onThisNodeOnly() {
        String selector = ".nodeSelector.kubernetes\\.io/hostname="
                + cluster.kubectl()
                        .run(
                                "get",
                                "node",
                                cluster.node(),
                                "-o",
                                "jsonpath={.metadata.labels.kubernetes\\.io/hostname}");
        return new String[] {"operator" + selector, "agent" + selector};
    }

    private void takeAwayInTheEnd() {
        Kubectl kubectl = cluster.kubectl();
        String crds = WorkTree.root().resolve("crds/manifests").toString();
        boolean hadCrds = kubectl.tryRun("get", "-f", crds).code() == 0;
        teardown.add(() -> Command.run("rm", "-rf", "--", cluster.store().toString()));
        teardown.add(() ->
                kubectl.run("delete", "namespace", InstalledTorpor.NAMESPACE, "--ignore-not-found", "--timeout=60s"));
        if (!hadCrds) {
            teardown.add(() -> kubectl.run("delete", "--ignore-not-found", "--timeout=60s", "-f", crds));
        }
        teardown.add(torpor::uninstall);
    }

    private void createNamespace() {
        Kubectl kubectl = cluster.kubectl();
        if (kubectl.tryRun("get", "namespace", namespace).code() != 0) {
            kubectl.run("create", "namespace", namespace);
            if (cluster.kept()) {
                teardown.add(() -> kubectl.run("delete", "namespace", namespace, "--timeout=60s"));
            }
        }
        if (cluster.kept()) {
            // While operator and agent are there to let its objects go.
            teardown.add(this::empty);
        }
        // Pods are refused until it is there.
        await("the default service account")
                .atMost(PATIENCE)
                .until(() -> kubectl.tryRun("get", "serviceaccount", "default", "-n", namespace)
                                .code()
                        == 0);
    }

    private void empty() {
        cluster.kubectl().tryRun("delete", "vmrestores,vmsnapshots,pods", "--all", "-n", namespace, "--timeout=60s");
        cluster.kubectl().tryRun("delete", "vmsnapshotclass", "torpor-demo", "--ignore-not-found");
    }
}
