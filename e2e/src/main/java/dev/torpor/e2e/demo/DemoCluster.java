package dev.torpor.e2e.demo;

import dev.torpor.e2e.cluster.ContainerImages;
import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.RealCluster;
import dev.torpor.e2e.cluster.Teardown;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * The cluster that the demo runs in.
 *
 * @param kubectl runs commands in it
 * @param kubeconfig file of a user who may do everything
 * @param node name of the node that this machine is
 * @param kubeletRoot folder of that node's kubelet
 * @param store folder for Torpor's images on that node
 * @param kept whether the cluster is somebody's who goes on using it: then what was not there is taken away
 */
record DemoCluster(Kubectl kubectl, Path kubeconfig, String node, Path kubeletRoot, Path store, boolean kept) {

    /** Starts one, with this machine as its node. */
    static DemoCluster start(Teardown teardown, Story story) {
        story.step("Starting a Kubernetes cluster: etcd, API server, controller manager, scheduler, and this machine");
        story.output("as its node: containerd, runc, CNI, kubelet, kube-proxy, in a network of its own");
        RealCluster cluster = teardown.add(RealCluster.start("demo"));
        return new DemoCluster(
                cluster.kubectl(),
                cluster.controlPlane().kubeconfig(),
                cluster.node().name(),
                cluster.node().kubeletRoot(),
                cluster.node().directory().resolve("store"),
                false);
    }

    /** Takes the cluster of a kubeconfig file, of which this machine is a node. See {@code tools/demo.sh}. */
    static DemoCluster existing(Path kubeconfig, Map<String, String> environment, Story story) {
        Kubectl kubectl = new Kubectl(Path.of("kubectl"), kubeconfig);
        String node = environment.getOrDefault("TORPOR_NODE", "");
        if (node.isEmpty()) {
            node = thisMachine(kubectl);
        }
        story.step("Using the cluster of " + kubeconfig + ", whose node " + node + " is this machine");
        String socket = environment.getOrDefault("TORPOR_CONTAINERD", "/run/containerd/containerd.sock");
        story.output("loading the demo's images into the containerd at " + socket);
        ContainerImages.find().loadInto(Path.of(socket));
        return new DemoCluster(
                kubectl,
                kubeconfig,
                node,
                Path.of(environment.getOrDefault("TORPOR_KUBELET_ROOT", "/var/lib/kubelet")),
                Path.of(environment.getOrDefault("TORPOR_STORE", "/var/lib/torpor-demo")),
                true);
    }

    private static String thisMachine(Kubectl kubectl) {
        List<String> nodes = kubectl.run("get", "nodes", "-o", "name")
                .lines()
                .map(line -> line.substring(line.indexOf('/') + 1))
                .toList();
        if (nodes.size() == 1) {
            return nodes.getFirst();
        }
        String host = hostName();
        if (nodes.contains(host)) {
            return host;
        }
        throw new IllegalStateException("none of the nodes " + nodes + " is called " + host
                + " like this machine: set TORPOR_NODE to the one that it is");
    }

    private static String hostName() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/hostname"))
                    .strip()
                    .toLowerCase(Locale.ROOT);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
