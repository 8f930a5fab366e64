package dev.torpor.e2e.cluster;

import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.authentication.TokenRequestBuilder;
import io.fabric8.kubernetes.client.Config;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientBuilder;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Deque;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A Kubernetes control plane of one's own: etcd, API server and, if asked for, controller manager and scheduler, on
 * free ports, everything under one new directory. Ready within seconds. Authorization is that of a real cluster
 * (Node, RBAC; admission NodeRestriction). Closing it ends the processes and deletes the directory.
 */
public final class ControlPlane implements AutoCloseable {
    private static final Duration READY_TIMEOUT = Duration.ofSeconds(90);
    private static final long TOKEN_SECONDS = 24 * 3600;
    // A busy machine, and an API server that was suspended and has to find its etcd again.
    private static final int REQUEST_TIMEOUT_MILLIS = 60_000;

    /**
     * What to start.
     *
     * @param controllers also the controller manager and the scheduler. Without them pods are never bound, namespaces
     *     are never emptied, and service accounts and tokens are not asked of pods
     * @param network network to run in, at its node's address, where pods reach the service {@code kubernetes} and the
     *     API server reaches services. Without one it is this machine's, on loopback, and that service has no endpoints
     */
    public record Options(boolean controllers, Optional<ClusterNetwork> network) {
        /** API server alone, loopback. */
        public static final Options API_ONLY = new Options(false, Optional.empty());
        /** With controller manager and scheduler, loopback. */
        public static final Options WHOLE = new Options(true, Optional.empty());

        /** With controller manager and scheduler, in a network that nodes join. */
        static Options in(ClusterNetwork network) {
            return new Options(true, Optional.of(network));
        }

        private String address() {
            return network.map(ClusterNetwork::nodeAddress).orElse("127.0.0.1");
        }
    }

    private final Options options;
    private final Binaries binaries;
    private final Workspace workspace;
    private final String adminToken = randomToken();
    private final Deque<KubernetesClient> clients = new ConcurrentLinkedDeque<>();
    private final Kubeconfig kubeconfigs;
    private final Path kubeconfig;
    private final KubernetesClient client;
    private final Path kubeletClientAuthority;
    private final Child apiServer;

    private ControlPlane(Options options, Binaries binaries, Workspace workspace) throws IOException {
        this.options = options;
        this.binaries = binaries;
        this.workspace = workspace;
        int port = FreePorts.take();
        Path certificate = workspace.file("pki/apiserver.crt");
        this.kubeconfigs = new Kubeconfig("https://" + options.address() + ":" + port, certificate);
        this.kubeletClientAuthority = workspace.file("kubelet-client.crt");
        this.kubeconfig = kubeconfigs.write(workspace.file("admin.kubeconfig"), adminToken);
        this.apiServer = startApiServer(port);
        awaitWithChildren("certificate of the API server", () -> Files.exists(certificate));
        this.client = connect(kubeconfig);
        awaitWithChildren("API server", this::isReady);
        if (options.controllers()) {
            startControllers();
        }
    }

    /** Starts a control plane and waits until it is ready. Throws an unchecked exception with the logs' ends if not. */
    public static ControlPlane start(Options options) {
        Binaries binaries = Binaries.find();
        Workspace workspace = Workspace.create("cluster");
        try {
            return new ControlPlane(options, binaries, workspace);
        } catch (IOException | RuntimeException e) {
            String logs = workspace.logTails(20);
            workspace.close();
            throw new IllegalStateException("the control plane did not start:\n" + logs, e);
        }
    }

    private Child startApiServer(int port) throws IOException {
        String etcd = "http://127.0.0.1:" + FreePorts.take();
        String etcdPeer = "http://127.0.0.1:" + FreePorts.take();
        run(
                "etcd",
                "--data-dir=" + workspace.file("etcd"),
                "--unsafe-no-fsync",
                "--log-level=warn",
                "--listen-client-urls=" + etcd,
                "--advertise-client-urls=" + etcd,
                "--listen-peer-urls=" + etcdPeer,
                "--initial-advertise-peer-urls=" + etcdPeer,
                "--initial-cluster=default=" + etcdPeer);
        SigningKey.generate(workspace.file("service-account.key"), workspace.file("service-account.pub"));
        ClientCertificate.generate(kubeletClientAuthority, workspace.file("kubelet-client.key"));
        Files.writeString(workspace.file("tokens.csv"), adminToken + ",admin,admin,system:masters\n");
        return run(
                "kube-apiserver",
                "--etcd-servers=" + etcd,
                "--bind-address=" + options.address(),
                "--advertise-address=" + options.address(),
                "--secure-port=" + port,
                "--cert-dir=" + workspace.file("pki"),
                "--endpoint-reconciler-type=" + (options.network().isEmpty() ? "none" : "lease"),
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-account-key-file=" + workspace.file("service-account.pub"),
                "--service-account-signing-key-file=" + workspace.file("service-account.key"),
                "--token-auth-file=" + workspace.file("tokens.csv"),
                "--authorization-mode=Node,RBAC",
                "--service-cluster-ip-range=" + ClusterNetwork.SERVICE_RANGE,
                "--allow-privileged=true",
                "--enable-admission-plugins=NodeRestriction",
                "--disable-admission-plugins=" + (options.controllers() ? "" : "ServiceAccount"),
                "--kubelet-preferred-address-types=InternalIP",
                "--kubelet-client-certificate=" + kubeletClientAuthority,
                "--kubelet-client-key=" + workspace.file("kubelet-client.key"),
                "--profiling=false");
    }

    private void startControllers() {
        run(
                "kube-controller-manager",
                "--kubeconfig=" + kubeconfig,
                "--leader-elect=false",
                "--secure-port=0",
                "--service-account-private-key-file=" + workspace.file("service-account.key"),
                "--use-service-account-credentials=true",
                "--flex-volume-plugin-dir=" + workspace.file("volume-plugins"),
                "--root-ca-file=" + workspace.file("pki/apiserver.crt"),
                "--profiling=false");
        run(
                "kube-scheduler",
                "--kubeconfig=" + kubeconfig,
                "--leader-elect=false",
                "--secure-port=0",
                "--profiling=false");
    }

    private Child run(String binary, String... arguments) {
        Path program = binaries.path(binary);
        return options.network().isPresent()
                ? options.network().get().start(workspace, binary, program, arguments)
                : workspace.start(binary, program, arguments);
    }

    /** Has the API server hang: connections are taken, and no request is answered, until {@link #continueApiServer}. */
    public void suspendApiServer() {
        signal("-STOP");
    }

    /** Has an API server that hangs go on, and waits until it answers. */
    public void continueApiServer() {
        signal("-CONT");
        awaitWithChildren("API server", this::isReady);
    }

    private void signal(String signal) {
        var _ = Command.run("kill", signal, Long.toString(apiServer.process().pid()));
    }

    private void awaitWithChildren(String what, Callable<Boolean> condition) {
        await(what).atMost(READY_TIMEOUT).pollInterval(Duration.ofMillis(50)).until(() -> {
            workspace.requireAllAlive();
            return condition.call();
        });
    }

    private boolean isReady() {
        try {
            return "ok".equals(client.raw("/readyz"));
        } catch (KubernetesClientException e) {
            return false; // Refused or 500 while it starts; the last answer is in its log.
        }
    }

    /** Returns everything's directory; the logs are in {@code logs/}. */
    public Path directory() {
        return workspace.directory();
    }

    public Binaries binaries() {
        return binaries;
    }

    /** Returns the file with the certificate that the API server shows kubelets; self-signed. */
    Path kubeletClientAuthority() {
        return kubeletClientAuthority;
    }

    /** Returns the URL of the API server. */
    public String server() {
        return kubeconfigs.server();
    }

    /** Returns the kubeconfig file of a user who may do everything. */
    public Path kubeconfig() {
        return kubeconfig;
    }

    /** Returns the client of a user who may do everything. Closed with the control plane. */
    public KubernetesClient client() {
        return client;
    }

    /**
     * Writes a kubeconfig file of any user in any groups, such as {@code system:node:n1} in {@code system:nodes}: the
     * administrator impersonates it, so authorization and admission see that user and nothing of the administrator.
     */
    public Path kubeconfigOf(String user, String... groups) {
        Path file = workspace.file(user.replaceAll("[^A-Za-z0-9.-]", "_") + ".kubeconfig");
        return kubeconfigs.writeImpersonating(file, adminToken, user, List.of(groups));
    }

    /** Writes a kubeconfig file with a kubelet's identity. */
    public Path kubeconfigOfNode(String nodeName) {
        return kubeconfigOf("system:node:" + nodeName, "system:nodes");
    }

    /** Writes a kubeconfig file with a token of an existing service account, good for a day. */
    public Path kubeconfigOfServiceAccount(String namespace, String name) {
        var request = new TokenRequestBuilder()
                .withNewSpec()
                .withExpirationSeconds(TOKEN_SECONDS)
                .endSpec()
                .build();
        String token = client.serviceAccounts()
                .inNamespace(namespace)
                .withName(name)
                .tokenRequest(request)
                .getStatus()
                .getToken();
        return kubeconfigs.write(workspace.file("sa-" + namespace + "-" + name + ".kubeconfig"), token);
    }

    /**
     * Writes a kubeconfig file with a token as the kubelet mounts it into a pod: asked for as the pod's node, and bound
     * to the pod, which must be bound to a node.
     */
    public Path kubeconfigOfPod(Pod pod) {
        ObjectMeta meta = pod.getMetadata();
        String token = kubectlOf(kubeconfigOfNode(pod.getSpec().getNodeName()))
                .run(
                        "create",
                        "token",
                        "--namespace=" + meta.getNamespace(),
                        pod.getSpec().getServiceAccountName(),
                        "--bound-object-kind=Pod",
                        "--bound-object-name=" + meta.getName(),
                        "--bound-object-uid=" + meta.getUid(),
                        "--duration=" + TOKEN_SECONDS + "s")
                .strip();
        return kubeconfigs.write(workspace.file("pod-" + meta.getName() + ".kubeconfig"), token);
    }

    /** Makes a client from a kubeconfig file. Closed with the control plane. */
    public KubernetesClient connect(Path kubeconfigFile) {
        Config config = Config.fromKubeconfig(kubeconfigFile.toFile());
        config.setRequestTimeout(REQUEST_TIMEOUT_MILLIS);
        KubernetesClient made = new KubernetesClientBuilder().withConfig(config).build();
        clients.push(made);
        return made;
    }

    /** Returns a runner of {@code kubectl} for the administrator. */
    public Kubectl kubectl() {
        return kubectlOf(kubeconfig);
    }

    /** Returns a runner of {@code kubectl} for the user of a kubeconfig file. */
    public Kubectl kubectlOf(Path kubeconfigFile) {
        return new Kubectl(binaries.path("kubectl"), kubeconfigFile);
    }

    /** Returns a runner of {@code helm} for the administrator. */
    public Helm helm() {
        return new Helm(kubeconfig);
    }

    /** Runs {@code kubectl}, which must succeed, and returns its output. */
    public String kubectl(String... arguments) {
        return kubectl().run(arguments);
    }

    /** Applies the manifests in {@code crds/manifests} and waits until the API server serves them. */
    public void applyCrds() {
        String manifests = WorkTree.root().resolve("crds/manifests").toString();
        kubectl("apply", "--server-side", "-f", manifests);
        kubectl("wait", "--for=condition=Established", "--timeout=90s", "-f", manifests);
        // It tells of them, as clients ask for it, a moment after it has said so.
        awaitWithChildren(
                "definitions that are served",
                () -> kubectl()
                                .tryRun(
                                        "get",
                                        "vmsnapshots,vmrestores,vmsnapshotclasses,nodestores",
                                        "--all-namespaces")
                                .code()
                        == 0);
    }

    /** Creates a namespace that pods can be created in, with a name that begins with the prefix. */
    public String createNamespace(String prefix) {
        String name = client.resource(new NamespaceBuilder()
                        .withNewMetadata()
                        .withGenerateName(prefix + "-")
                        .endMetadata()
                        .build())
                .create()
                .getMetadata()
                .getName();
        if (options.controllers()) {
            awaitDefaultServiceAccount(name);
        }
        return name;
    }

    /** Waits for the service account without which pods are refused. */
    public void awaitDefaultServiceAccount(String namespace) {
        await("default service account")
                .atMost(READY_TIMEOUT)
                .until(() -> client.serviceAccounts()
                                .inNamespace(namespace)
                                .withName("default")
                                .get()
                        != null);
    }

    /** Returns the ends of all logs, for a failure's report. */
    public String logTails(int lines) {
        return workspace.logTails(lines);
    }

    /** Ends everything, the last started first, and deletes the directory. */
    @Override
    public void close() {
        clients.forEach(KubernetesClient::close);
        workspace.close();
    }

    private static String randomToken() {
        byte[] bytes = new byte[16];
        ThreadLocalRandom.current().nextBytes(bytes);
        return HexFormat.of().formatHex(bytes);
    }
}
