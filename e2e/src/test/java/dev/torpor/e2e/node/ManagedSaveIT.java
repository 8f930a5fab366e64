package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.guest.Tick;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Path;
import java.time.Duration;
import org.awaitility.core.ConditionTimeoutException;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** VMs that sleep and wake up by themselves: saved, held by the gate, resumed by policy, by hand or not at all. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class ManagedSaveIT {
    private static final Duration PATIENCE = Duration.ofMinutes(2);

    @Test
    void aStatefulSetsVmSleepsWhileItsNodeIsCordonedAndWakesUpByItself(Scene scene) {
        scene.apply(VmManifest.of("db").memory(256, 32).statefulSet());
        Tick before = scene.awaitTick("db-0");
        String node = scene.cluster.node().name();
        scene.kubectl("cordon", node);
        try {
            scene.snapshot("db-saved", "db", "mode: ManagedSave");
            awaitResumable(scene, "db-saved", "NodeUnschedulable");

            assertThat(scene.kubectl("get", "pod", "db-0")).contains("SchedulingGated");
            assertThat(scene.kubectl("describe", "pod", "db-0"))
                    .contains("The memory of VM db is on node " + node + ", in VMSnapshot db-saved");
            scene.snapshot("db-again", "db", "mode: ManagedSave");
            assertThat(scene.awaitFailure("vmsnap/db-again")).startsWith("AlreadySaved: VM db is saved already");
        } finally {
            scene.kubectl("uncordon", node);
        }
        awaitPhase(scene, "db-saved", "Consumed");
        scene.awaitGoingOn("db-0", before);
        scene.awaitReady("vmrest/db-saved-start-1");
    }

    @Test
    void aBarePodIsMadeAgainAndStartedByHand(Scene scene) {
        Tick before = scene.start(VmManifest.of("web").memory(256, 32));
        scene.snapshot("web-saved", "web", "mode: ManagedSave", "resume: Manual");
        awaitResumable(scene, "web-saved", "Manual");
        String held = scene.field("pod/web", ".metadata.uid");

        scene.kubectl("delete", "pod", "web");
        await("the pod is there again").atMost(PATIENCE).ignoreExceptions().until(() -> !scene.field(
                        "pod/web", ".metadata.uid")
                .equals(held));
        assertThat(scene.field("pod/web", ".spec.schedulingGates[*].name")).isEqualTo("torpor.dev/saved");

        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        scene.awaitGoingOn("web", before);
        awaitPhase(scene, "web-saved", "Consumed");
    }

    @Test
    void memoryIsGivenUpOnlyOnPurposeAndThenTheVmBoots(Scene scene) {
        scene.apply(VmManifest.of("old").statefulSet());
        Tick before = scene.awaitTick("old-0");
        scene.snapshot("old-saved", "old", "mode: ManagedSave", "resume: Manual");
        awaitResumable(scene, "old-saved", "Manual");

        assertThat(scene.tryKubectl("delete", "vmsnap", "old-saved").output())
                .contains("VMSnapshot old-saved is the only memory of VM old, which is stopped");
        scene.kubectl("annotate", "vmsnap", "old-saved", "torpor.dev/discard=true");
        scene.kubectl("delete", "vmsnap", "old-saved", "--timeout=60s");

        await("a cold boot").atMost(PATIENCE).until(() -> scene.ticks("old-0").stream()
                .anyMatch(tick -> !tick.nonce().equals(before.nonce())));
        assertThat(scene.field("pod/old-0", ".spec.affinity")).isEmpty();
    }

    @Test
    void aStatefulSetThatIsScaledAwayMeanwhileGetsItsVmBackLater(Scene scene) {
        scene.apply(VmManifest.of("away").statefulSet());
        Tick before = scene.awaitTick("away-0");
        scene.snapshot("away-saved", "away", "mode: ManagedSave", "resume: Manual");
        awaitResumable(scene, "away-saved", "Manual");

        scene.kubectl("scale", "statefulset", "away", "--replicas=0");
        awaitResumable(scene, "away-saved", "NoPod");
        scene.kubectl("scale", "statefulset", "away", "--replicas=1");
        awaitResumable(scene, "away-saved", "Manual");
        scene.restore("away-back", "away-saved");
        scene.awaitGoingOn("away-0", before);
        awaitPhase(scene, "away-saved", "Consumed");
    }

    @Test
    void aTemplateThatChangesMeanwhileHoldsTheVmUntilItIsPutBack(Scene scene) {
        VmManifest vm = VmManifest.of("db").memory(256, 32);
        scene.apply(rolling(vm));
        Tick before = scene.awaitTick("db-0");
        String node = scene.cluster.node().name();
        scene.kubectl("cordon", node);
        try {
            scene.snapshot("db-saved", "db", "mode: ManagedSave");
            awaitResumable(scene, "db-saved", "NodeUnschedulable");
            scene.apply(rolling(vm.memory(224, 32)));
        } finally {
            scene.kubectl("uncordon", node);
        }
        awaitResumable(scene, "db-saved", "RolloutPending");
        awaitRollout(scene);
        // The next pod is one of the new template: another VM, which this memory does not fit.
        scene.kubectl("delete", "pod", "db-0");
        awaitResumable(scene, "db-saved", "DefinitionChanged");
        assertThat(scene.field("pod/db-0", ".spec.schedulingGates[*].name")).isEqualTo("torpor.dev/saved");

        scene.apply(rolling(vm));
        awaitResumable(scene, "db-saved", "RolloutPending");
        awaitRollout(scene);
        scene.kubectl("delete", "pod", "db-0");
        scene.awaitGoingOn("db-0", before);
        awaitPhase(scene, "db-saved", "Consumed");
    }

    @Test
    void anImageThatIsDamagedWhileItWaitsBlocksItsVmUntilItIsPutBack(Scene scene) throws IOException {
        Tick before = scene.start(VmManifest.of("web").memory(256, 32));
        scene.snapshot("web-saved", "web", "mode: ManagedSave", "resume: Manual");
        scene.awaitVerified("vmsnap/web-saved");
        awaitResumable(scene, "web-saved", "Manual");
        Path image = scene.torpor.store().resolve(scene.field("vmsnap/web-saved", ".status.image.path"));

        flip(image);
        scene.kubectl("annotate", "vmsnap", "web-saved", "torpor.dev/verify=1");
        scene.awaitTrouble("vmsnap/web-saved", "ImageDamaged");
        scene.restore("web-back", "web-saved");
        assertThat(scene.awaitFailure("vmrest/web-back")).startsWith("SnapshotUnusable: ");
        assertThat(scene.field("pod/web", ".spec.schedulingGates[*].name"))
                .as("it does not boot either")
                .isEqualTo("torpor.dev/saved");

        flip(image);
        scene.kubectl("annotate", "--overwrite", "vmsnap", "web-saved", "torpor.dev/verify=2");
        scene.awaitReady("vmsnap/web-saved");
        scene.restore("web-back-again", "web-saved");
        scene.awaitGoingOn("web", before);
        awaitPhase(scene, "web-saved", "Consumed");
    }

    /** The StatefulSet's controller has seen its new template, so that the next pod is one of it. */
    private static void awaitRollout(Scene scene) {
        await("the template is seen").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.field("statefulset/db", ".status.updateRevision"))
                .isNotEqualTo(scene.field("pod/db-0", ".metadata.labels.controller-revision-hash")));
    }

    /** Its pod would be replaced as soon as the template changes. */
    private static String rolling(VmManifest vm) {
        return vm.statefulSet().replace("OnDelete", "RollingUpdate");
    }

    /** Flips a bit of an image's header; twice is as before. */
    private static void flip(Path image) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(100);
            int old = file.read();
            file.seek(100);
            file.write(old ^ 1);
            file.getFD().sync();
        }
    }

    private static void awaitResumable(Scene scene, String snapshot, String reason) {
        String path = ".status.conditions[?(@.type=='Resumable')].reason";
        try {
            await(snapshot + " waits: " + reason).atMost(PATIENCE).untilAsserted(() -> assertThat(
                            scene.field("vmsnap/" + snapshot, path))
                    .isEqualTo(reason));
        } catch (ConditionTimeoutException e) {
            throw new AssertionError(
                    e.getMessage() + "\n"
                            + scene.tryKubectl("get", "vmsnap,pod,sts,controllerrevision", "-o", "yaml")
                                    .output() + scene.torpor.describe(),
                    e);
        }
    }

    private static void awaitPhase(Scene scene, String snapshot, String phase) {
        await(snapshot + " is " + phase).atMost(PATIENCE).untilAsserted(() -> assertThat(
                        scene.field("vmsnap/" + snapshot, ".status.phase"))
                .isEqualTo(phase));
    }
}
