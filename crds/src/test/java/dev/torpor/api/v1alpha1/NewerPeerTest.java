package dev.torpor.api.v1alpha1;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.client.utils.Serialization;
import org.junit.jupiter.api.Test;

/** Objects that a newer operator or agent has written are read: one of them is always upgraded first. */
class NewerPeerTest {
    @Test
    void aNewerSnapshotIsRead() {
        VMSnapshot read = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: snap}
                spec:
                  vmName: web
                  novelty: 1
                  parallel: {channels: 2, novelty: 1}
                  source: {podUID: a, novelty: 1}
                status:
                  phase: Novel
                  novelty: 1
                  nodeName: n1
                  pod: {name: web, uid: a, novelty: 1}
                  progress: {percent: 5, novelty: 1}
                  image: {path: p, sizeBytes: 1, allocatedBytes: 1, formatVersion: 1, novelty: 1}
                  vm: {novelty: 1}
                  failure: {reason: Novel, message: m, novelty: 1}
                  consumedBy: {restoreName: r, podName: web, podUID: b, time: t, novelty: 1}
                """, VMSnapshot.class);

        assertThat(read.getSpec().vmName()).isEqualTo("web");
        VMSnapshotStatus status = requireNonNull(read.getStatus());
        assertThat(status.getNodeName()).isEqualTo("n1");
        assertThat(status.getPhase())
                .as("of phases only those that this version knows")
                .isNull();
        assertThat(requireNonNull(status.getImage()).path()).isEqualTo("p");
    }

    @Test
    void aNewerRestoreIsRead() {
        VMRestore read = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMRestore
                metadata: {name: back}
                spec: {snapshotName: snap, novelty: 1}
                status: {phase: Novel, novelty: 1, vmName: web}
                """, VMRestore.class);

        assertThat(read.getSpec().snapshotName()).isEqualTo("snap");
        assertThat(requireNonNull(read.getStatus()).getVmName()).isEqualTo("web");
        assertThat(read.getStatus().getPhase()).isNull();
    }

    @Test
    void aNewerNodeStoreIsRead() {
        NodeStore read = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: NodeStore
                metadata: {name: n1}
                status:
                  storeID: s
                  novelty: 1
                  terminationSaves: [{namespace: vms, vmName: web, podUID: a, saved: true, novelty: 1}]
                  lastShutdown: {novelty: 1}
                """, NodeStore.class);

        NodeStoreStatus status = requireNonNull(read.getStatus());
        assertThat(status.storeID()).isEqualTo("s");
        assertThat(status.saves()).singleElement().satisfies(save -> {
            assertThat(save.isOf("vms", "web")).isTrue();
            assertThat(save.saved()).isTrue();
        });
    }

    @Test
    void aNewerClassIsRead() {
        VMSnapshotClass read = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshotClass
                metadata: {name: fast}
                spec: {bandwidthBytesPerSecond: 7, novelty: 1}
                """, VMSnapshotClass.class);

        assertThat(read.getSpec().bandwidthBytesPerSecond()).isEqualTo(7);
    }
}
