package dev.torpor.e2e.cluster;

/**
 * A whole cluster on this machine: a network of its own with a control plane and one {@link RealNode} in it. Ready within
 * half a minute; closing it takes everything away.
 */
public final class RealCluster implements AutoCloseable {
    private final Teardown teardown;
    private final ClusterNetwork network;
    private final ControlPlane controlPlane;
    private final RealNode node;

    private RealCluster(String nodeName, Teardown teardown) {
        this.teardown = teardown;
        this.network = teardown.add(ClusterNetwork.create());
        this.controlPlane = teardown.add(ControlPlane.start(ControlPlane.Options.in(network)));
        this.node = teardown.add(RealNode.start(controlPlane, network, nodeName));
    }

    /** Starts one and waits until its node is Ready. Throws an unchecked exception with the logs' ends if not. */
    public static RealCluster start(String nodeName) {
        Teardown teardown = new Teardown("cluster of node " + nodeName);
        try {
            return new RealCluster(nodeName, teardown);
        } catch (RuntimeException e) {
            teardown.close();
            throw e;
        }
    }

    /** Returns the network that all of it is in. */
    public ClusterNetwork network() {
        return network;
    }

    public ControlPlane controlPlane() {
        return controlPlane;
    }

    public RealNode node() {
        return node;
    }

    /** Returns a runner of {@code kubectl} for a user who may do everything. */
    public Kubectl kubectl() {
        return controlPlane.kubectl();
    }

    /** Returns the ends of all logs, for a failure's report. */
    public String logTails(int lines) {
        return controlPlane.logTails(lines) + node.logTails(lines);
    }

    @Override
    public void close() {
        teardown.close();
    }
}
