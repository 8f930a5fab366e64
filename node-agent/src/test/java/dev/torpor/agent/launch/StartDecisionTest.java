package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.StartFacts.ActiveRestore;
import dev.torpor.agent.launch.StartFacts.Away;
import dev.torpor.agent.launch.StartFacts.Cluster;
import dev.torpor.agent.launch.StartFacts.PodGone;
import dev.torpor.agent.launch.StartFacts.SavedImage;
import dev.torpor.agent.launch.StartFacts.Seen;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The table of a start: pod P asks. */
class StartDecisionTest {
    private static final String P = "pod-p";
    private static final String OTHER = "pod-other";
    private static final Instant NOW = Instant.EPOCH;
    private static final ImageId IMAGE = new ImageId("vms", "web", "s1");
    private static final String BOOT = "boot";
    private static final String RESUME = "resume r1";

    private static final Cluster AWAY = new Away();
    private static final Cluster QUIET = new Seen(List.of(), List.of(), Optional.empty());
    private static final Cluster MADE_FOR_R1 = new Seen(List.of(), List.of(), Optional.of("r1"));

    private static final VmRecord NEW = VmRecord.NONE;
    private static final VmRecord RAN_IN_P = NEW.booted(P, "a1", NOW);
    private static final VmRecord RAN_IN_OTHER = NEW.booted(OTHER, "a1", NOW);
    private static final VmRecord WAITING = NEW.waitingFor(new VmRecord.Waiting("r1", IMAGE));
    private static final VmRecord TOLD_TO_RESUME = WAITING.incoming(P, "a1", "r1", VmRecord.Resume.EAGER, NOW);
    private static final VmRecord FED_IN_P = fed(TOLD_TO_RESUME, P);
    private static final VmRecord FED_IN_OTHER =
            fed(WAITING.incoming(OTHER, "a1", "r1", VmRecord.Resume.EAGER, NOW), OTHER);

    static Stream<Arguments> table() {
        return Stream.of(
                // 1. A retired pod never starts its VM again, whatever else is true.
                row(RAN_IN_P.retired(P), QUIET, "saved from this pod"),
                row(RAN_IN_P.retired(P), AWAY, "saved from this pod"),
                row(WAITING.retired(P), restoring(P), "saved from this pod"),
                row(RAN_IN_P.retired(OTHER), QUIET, BOOT),

                // 2. A restore is under way.
                row(WAITING, restoring(P), RESUME),
                row(TOLD_TO_RESUME, restoring(P), RESUME),
                row(WAITING, restoring(OTHER), "not (yet) known to be for this pod"),
                row(WAITING, restoring(null), "not (yet) known to be for this pod"),
                row(NEW, restoring(P), "not ready to be fed"),
                row(NEW.waitingFor(new VmRecord.Waiting("r2", IMAGE)), restoring(P), "not ready to be fed"),
                row(RAN_IN_P, restoring(null), "VMRestore back of this VM is under way"),
                row(FED_IN_P, restoring(P), "not ready to be fed"),
                row(
                        WAITING,
                        new Seen(
                                List.of(
                                        new ActiveRestore("other", "r2", Optional.empty()),
                                        new ActiveRestore("back", "r1", Optional.of(P))),
                                List.of(),
                                Optional.of("r1")),
                        RESUME),
                row(WAITING, AWAY, "the API server does not answer"),
                row(TOLD_TO_RESUME, AWAY, "the API server does not answer"),

                // A waiting entry that no restore asks for any more holds nobody.
                row(WAITING, QUIET, BOOT),

                // 3. A pod made for a restore does not boot before it was fed.
                row(NEW, MADE_FOR_R1, "made for a VMRestore that is over"),
                row(RAN_IN_P, MADE_FOR_R1, "made for a VMRestore that is over"),
                row(FED_IN_OTHER, MADE_FOR_R1, "made for a VMRestore that is over"),
                row(FED_IN_P, MADE_FOR_R1, BOOT),
                row(TOLD_TO_RESUME.notWaitingFor("r1"), AWAY, "made for a VMRestore that is over"),
                row(FED_IN_P, AWAY, BOOT),

                // A pod that is gone starts nothing: for whom it was made is not known any more.
                row(NEW, new PodGone(), "being deleted"),
                row(RAN_IN_P, new PodGone(), "being deleted"),
                row(WAITING, new PodGone(), "being deleted"),
                row(FED_IN_P, new PodGone(), "being deleted"),

                // 4. Otherwise it boots; without the API server only where the last run is known to have been here.
                row(NEW, QUIET, BOOT),
                row(RAN_IN_P, QUIET, BOOT),
                row(RAN_IN_OTHER, QUIET, BOOT),
                row(RAN_IN_P, AWAY, BOOT),
                row(RAN_IN_OTHER, AWAY, "its last run was not in this pod"),
                row(NEW, AWAY, "its last run was not in this pod"));
    }

    @ParameterizedTest
    @MethodSource("table")
    void decides(VmRecord journal, Cluster cluster, String expected) {
        StartDecision decision = StartDecision.of(new StartFacts(P, journal, Optional.empty(), cluster));
        switch (decision) {
            case StartDecision.Boot _ -> assertThat(BOOT).isEqualTo(expected);
            case StartDecision.Resume(String restore) ->
                assertThat("resume " + restore).isEqualTo(expected);
            case StartDecision.Wait(String reason) -> assertThat(reason).contains(expected);
        }
    }

    @Test
    void aManagedImageHoldsEveryStartButTheOneThatItIsFedTo() {
        SavedImage here = new SavedImage("web-1", "saved here");
        for (Cluster cluster : List.of(QUIET, AWAY)) {
            for (VmRecord journal : List.of(NEW, RAN_IN_P, RAN_IN_OTHER)) {
                assertThat(StartDecision.of(new StartFacts(P, journal, Optional.of(here), cluster)))
                        .isInstanceOfSatisfying(StartDecision.Wait.class, wait -> assertThat(wait.reason())
                                .contains("saved here (VMSnapshot web-1)"));
            }
        }
        assertThat(StartDecision.of(new StartFacts(P, WAITING, Optional.of(here), restoring(P))))
                .isInstanceOf(StartDecision.Resume.class);
    }

    @Test
    void aManagedImageOfAnotherNodeHoldsTheStart() {
        Cluster elsewhere = new Seen(List.of(), List.of(new SavedImage("web-1", "saved on node n2")), Optional.empty());
        for (VmRecord journal : List.of(NEW, RAN_IN_P, RAN_IN_OTHER)) {
            assertThat(StartDecision.of(new StartFacts(P, journal, Optional.empty(), elsewhere)))
                    .isInstanceOfSatisfying(StartDecision.Wait.class, wait -> assertThat(wait.reason())
                            .contains("saved on node n2 (VMSnapshot web-1)"));
        }
    }

    private static Arguments row(VmRecord journal, Cluster cluster, String expected) {
        return Arguments.of(journal, cluster, expected);
    }

    private static Cluster restoring(@org.jspecify.annotations.Nullable String pod) {
        return new Seen(
                List.of(new ActiveRestore("back", "r1", Optional.ofNullable(pod))), List.of(), Optional.of("r1"));
    }

    private static VmRecord fed(VmRecord record, String pod) {
        return record.handedOver(new VmRecord.HandOver("r1", IMAGE, new ProcessIdentity(pod, "c", "boot", 1, 1)));
    }
}
