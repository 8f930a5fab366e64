package dev.torpor.e2e.cluster;

import java.nio.file.Path;
import java.util.Optional;

/**
 * What a node's kubelet is told: nothing of the machine is reserved, evicted or shared, and what it keeps is below one
 * directory.
 *
 * @param directory that directory
 * @param address address that it listens on
 * @param port port of the same
 * @param clientAuthority file with the certificate of the only client that it serves
 * @param endpoint of the container runtime
 * @param cgroup path of the cgroup that pods are kept in
 * @param shutdown how it ends pods at a shutdown of the machine, if it does
 */
record KubeletConfiguration(
        Path directory,
        String address,
        int port,
        Path clientAuthority,
        String endpoint,
        String cgroup,
        Optional<GracefulShutdown> shutdown) {

    /** Returns the file's text. */
    String text() {
        return """
                apiVersion: kubelet.config.k8s.io/v1beta1
                kind: KubeletConfiguration
                address: %s
                port: %d
                readOnlyPort: 0
                healthzPort: 0
                authentication:
                  anonymous: {enabled: false}
                  webhook: {enabled: false}
                  x509: {clientCAFile: %s}
                authorization: {mode: AlwaysAllow}
                containerRuntimeEndpoint: %s
                cgroupDriver: cgroupfs
                cgroupRoot: %s
                failCgroupV1: false
                failSwapOn: false
                enforceNodeAllocatable: []
                makeIPTablesUtilChains: false
                oomScoreAdj: 0
                resolvConf: ""
                podLogsDir: %s/pod-logs
                volumePluginDir: %s/volume-plugins
                # The images are nowhere else, and a full disk is none of our business.
                imageGCHighThresholdPercent: 100
                imageGCLowThresholdPercent: 99
                evictionHard:
                  memory.available: 50Mi
                  nodefs.available: 1%%
                  nodefs.inodesFree: 1%%
                  imagefs.available: 1%%
                nodeStatusUpdateFrequency: 5s
                %s
                """.formatted(
                        address,
                        port,
                        clientAuthority,
                        endpoint,
                        cgroup,
                        directory,
                        directory,
                        shutdown.map(GracefulShutdown::text).orElse(""));
    }
}
