package dev.torpor.e2e.standin;

import static java.util.Objects.requireNonNull;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMRestoreStatus;
import dev.torpor.e2e.cluster.StandInPod;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import io.fabric8.kubernetes.api.model.Condition;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** A VMRestore whose VM runs from its image, or the word why it does not. */
@Tag("standin")
class LazyResumeIT {
    // One mention of the file in QEMU's own arguments is what lazy means.
    private static final String FROM_IMAGE = "mem-path=/run/torpor-images/";

    @SuppressWarnings("NullAway.Init")
    private static StandInCluster cluster;

    @BeforeAll
    static void start() throws Exception {
        cluster = new StandInCluster();
    }

    @AfterAll
    static void stop() {
        cluster.close();
    }

    @Test
    void autoIsLazyAgainAndAgainWhereThePodSeesItsImages() throws Exception {
        Tick tick = cluster.startVmWithImages("web", 256, 64).lastTick().orElseThrow();
        for (int i = 0; i < 2; i++) {
            cluster.snapshot("web-" + i, "web");
            cluster.awaitVerified("web-" + i);
            cluster.restore("web-back-" + i, "web-" + i);
            VMRestoreStatus back = cluster.awaitRunning("web-back-" + i).getStatus();
            assertThat(back.getStrategy()).isEqualTo("Lazy");
            assertThat(back.getStrategyReason()).isNull();
            assertThat(requireNonNull(back.getLoadSeconds())).isPositive();
            StandInPod pod = cluster.pod("web");
            tick = StandInCluster.awaitGoingOn(pod, tick);
            assertThat(arguments(pod)).contains(FROM_IMAGE);
            VMRestoreStatus whole = cluster.awaitRestore(
                            "web-back-" + i, object -> object.getStatus().getResidentSeconds() != null)
                    .getStatus();
            assertThat(whole.getResidentSeconds()).isGreaterThanOrEqualTo(whole.getLoadSeconds());
            assertThat(whole.getStrategy()).isEqualTo("Lazy");
            assertThat(pod.volume().resolve("read-ahead.done")).exists();
            VMRestore compared = cluster.awaitRestore(
                    "web-back-" + i, object -> object.getStatus().getVerifiedSeconds() != null);
            assertThat(Conditions.isTrue(compared.getStatus().getConditions(), ConditionType.VERIFIED))
                    .isTrue();
            assertThat(compared.getStatus().getVerifiedSeconds()).isGreaterThanOrEqualTo(whole.getLoadSeconds());
            assertNothingLeft("web");
        }
    }

    @Test
    void aCheckpointOfALazilyResumedVmIsWholeAndComesBackToo() throws Exception {
        Tick tick = cluster.startVmWithImages("db", 192, 16).lastTick().orElseThrow();
        cluster.snapshot("db-saved", "db");
        cluster.awaitReady("db-saved");
        cluster.restore("db-back", "db-saved", "strategy: Lazy");
        assertThat(cluster.awaitRunning("db-back").getStatus().getStrategy()).isEqualTo("Lazy");
        tick = StandInCluster.awaitGoingOn(cluster.pod("db"), tick);
        cluster.snapshot("db-checkpoint", "db", "mode: Checkpoint");
        cluster.awaitVerified("db-checkpoint");
        Tick after = StandInCluster.awaitGoingOn(cluster.pod("db"), tick);
        assertThat(after.number()).isGreaterThan(tick.number());

        cluster.deletePod("db");
        cluster.restore("db-again", "db-checkpoint", "strategy: Lazy", "disks: Ephemeral");
        cluster.awaitRunning("db-again");
        StandInCluster.awaitGoingOn(cluster.pod("db"), tick);
        assertThat(arguments(cluster.pod("db"))).contains(FROM_IMAGE);
        // It is not consumed, and private again.
        Path image = cluster.imageFiles().stream()
                .filter(file ->
                        file.toString().contains("/db/") && file.toString().endsWith(".img"))
                .findFirst()
                .orElseThrow();
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(image)))
                .isEqualTo("rw-------");
    }

    @Test
    void aPodThatDoesNotSeeItsImagesIsResumedEagerlyAndStatusSaysWhy() throws Exception {
        Tick tick = cluster.startVm("plain", 192, 8).lastTick().orElseThrow();
        cluster.snapshot("plain-saved", "plain");
        cluster.awaitReady("plain-saved");
        cluster.restore("plain-lazy", "plain-saved", "strategy: Lazy");
        Ends.restoreFails(
                cluster,
                "plain-lazy",
                FailureReason.LazyNotPossible,
                Ends.exactly("VMRestore " + cluster.namespace + "/plain-lazy: memory cannot be mapped from the image:"
                        + " the folder of the VM's images is not mounted in the pod, at /run/torpor-images."
                        + " The image is safe."));

        cluster.restore("plain-back", "plain-saved");
        VMRestoreStatus back = cluster.awaitRunning("plain-back").getStatus();
        assertThat(back.getStrategy()).isEqualTo("Eager");
        assertThat(back.getStrategyReason())
                .isEqualTo("the folder of the VM's images is not mounted in the pod, at /run/torpor-images");
        assertThat(back.getResidentSeconds()).isEqualTo(back.getLoadSeconds());
        StandInCluster.awaitGoingOn(cluster.pod("plain"), tick);
    }

    @Test
    void anImageThatWasNotReadBackIsLoadedEagerlyUnlessLazyIsAskedFor() throws Exception {
        cluster.controlPlane.kubectl().runWithInput("""
                        apiVersion: torpor.dev/v1alpha1
                        kind: VMSnapshotClass
                        metadata: {name: unread}
                        spec: {verify: Never}
                        """, "apply", "-f", "-");
        Tick tick = cluster.startVmWithImages("raw", 192, 8).lastTick().orElseThrow();
        for (String spec : List.of("verify: Never", "className: unread")) {
            String name = "raw-" + spec.substring(0, 5).toLowerCase(Locale.ROOT);
            cluster.snapshot(name, "raw", spec);
            Condition verified = Conditions.find(
                            requireNonNull(cluster.awaitSnapshot(name, status -> Conditions.find(
                                                            status.getConditions(), ConditionType.VERIFIED)
                                                    .isPresent())
                                            .getStatus())
                                    .getConditions(),
                            ConditionType.VERIFIED)
                    .orElseThrow();
            assertThat(verified.getReason()).isEqualTo("NotWanted");
            assertThat(verified.getStatus()).isEqualTo("False");
            cluster.awaitReady(name);
            assertThat(cluster.imageFiles())
                    .noneMatch(file ->
                            file.toString().contains("/raw/") && file.toString().endsWith(".crc"));
            boolean asked = spec.startsWith("className");
            cluster.restore(name + "-back", name, asked ? "strategy: Lazy" : "strategy: Auto");
            VMRestoreStatus back = cluster.awaitRunning(name + "-back").getStatus();
            assertThat(back.getStrategy()).isEqualTo(asked ? "Lazy" : "Eager");
            assertThat(back.getStrategyReason())
                    .isEqualTo(
                            asked
                                    ? null
                                    : "the image is not Verified: its pages were not all read back since the save");
            tick = StandInCluster.awaitGoingOn(cluster.pod("raw"), tick);
        }
    }

    @Test
    void eagerIsEagerWithoutAReason() throws Exception {
        Tick tick = cluster.startVmWithImages("calm", 192, 8).lastTick().orElseThrow();
        cluster.snapshot("calm-saved", "calm");
        cluster.awaitReady("calm-saved");
        cluster.restore("calm-back", "calm-saved", "strategy: Eager");
        VMRestore back = cluster.awaitRunning("calm-back");
        assertThat(back.getStatus().getStrategy()).isEqualTo("Eager");
        assertThat(back.getStatus().getStrategyReason()).isNull();
        StandInCluster.awaitGoingOn(cluster.pod("calm"), tick);
        assertThat(arguments(cluster.pod("calm"))).doesNotContain(FROM_IMAGE);
    }

    @Test
    void aQemuThatEndsBeforeItIsFedIsFollowedByAnEagerOne() throws Exception {
        Tick tick = cluster.startVmWithImages("odd", 192, 8).lastTick().orElseThrow();
        cluster.snapshot("odd-saved", "odd");
        cluster.awaitVerified("odd-saved");
        cluster.restartAgent("after START_ANSWER");
        cluster.restore("odd-back", "odd-saved");
        cluster.awaitAgentDeath();
        StandInPod pod = cluster.pod("odd");
        await().atMost(StandInCluster.PATIENCE).until(() -> arguments(pod).contains(FROM_IMAGE));
        pod.killContainer();
        cluster.restartAgent("never");
        VMRestoreStatus back = cluster.awaitRunning("odd-back").getStatus();
        assertThat(back.getStrategy()).isEqualTo("Eager");
        assertThat(back.getStrategyReason())
                .isEqualTo("it was tried, and QEMU ended before it was fed: see the pod's log");
        StandInCluster.awaitGoingOn(cluster.pod("odd"), tick);
    }

    @Test
    void anAgentThatDiesAroundTheHandOverIsFollowedByOneThatFinishes() throws Exception {
        Tick tick = cluster.startVmWithImages("keep", 192, 8).lastTick().orElseThrow();
        List<String> deaths = List.of(
                "before START_ANSWER",
                "before RESTORE_LOAD",
                "after RESTORE_LOAD",
                "after RESTORE_HAND_OVER",
                "after RESTORE_JOURNAL",
                "after RESTORE_CONTINUE");
        for (int i = 0; i < deaths.size(); i++) {
            cluster.snapshot("keep-" + i, "keep");
            cluster.awaitVerified("keep-" + i);
            cluster.restartAgent(deaths.get(i));
            cluster.restore("keep-back-" + i, "keep-" + i);
            cluster.awaitAgentDeath();
            cluster.restartAgent("never");
            VMRestoreStatus back = cluster.awaitRunning("keep-back-" + i).getStatus();
            assertThat(back.getStrategy()).as("after death %s", deaths.get(i)).isEqualTo("Lazy");
            tick = StandInCluster.awaitGoingOn(cluster.pod("keep"), tick);
            assertNothingLeft("keep");
        }
    }

    private static void assertNothingLeft(String vm) {
        await("image of " + vm + " consumed").atMost(StandInCluster.PATIENCE).until(() -> cluster.imageFiles().stream()
                .filter(file -> file.toString().contains("/" + vm + "/"))
                .allMatch(file -> file.toString().endsWith(".json")));
    }

    private static String arguments(StandInPod pod) throws IOException {
        long pid = pod.process().orElseThrow().pid();
        return Files.readString(Path.of("/proc", Long.toString(pid), "cmdline"), StandardCharsets.ISO_8859_1)
                .replace('\0', ' ');
    }
}
