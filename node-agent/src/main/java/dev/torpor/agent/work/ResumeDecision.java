package dev.torpor.agent.work;

import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.launch.VmRecord.LastRun;
import dev.torpor.agent.launch.VmRecord.Resume;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import java.util.Optional;

/** How a launcher that asks for a restore is told to start QEMU; a pure function. */
sealed interface ResumeDecision {
    /** Why {@code Auto} does not map an image whose pages nobody has looked at since QEMU wrote them. */
    String NOT_VERIFIED = "the image is not Verified: its pages were not all read back since the save";

    /** To load all memory. */
    record Eager(Resume how) implements ResumeDecision {}

    /** To map memory from the image. */
    record Lazy(LazyStart.Possible start) implements ResumeDecision {}

    /** Not at all: the restore is to map memory, and cannot. */
    record Refuse(String why) implements ResumeDecision {}

    /**
     * Decides.
     *
     * @param strategy what the VMRestore asks for
     * @param journal what is known of the VM
     * @param restoreUID of the VMRestore
     * @param askID the question
     * @param lazy whether and how memory can be mapped
     * @param verified whether all pages of the image were read back and have checksums
     */
    static ResumeDecision of(
            RestoreStrategy strategy,
            VmRecord journal,
            String restoreUID,
            String askID,
            LazyStart lazy,
            boolean verified) {
        if (strategy == RestoreStrategy.Eager) {
            return new Eager(Resume.EAGER);
        }
        Optional<LastRun> last =
                journal.lastRun().filter(run -> run.restoreUID().equals(Optional.of(restoreUID)));
        Resume before = last.flatMap(LastRun::resume).orElse(Resume.EAGER);
        boolean sameAsk = last.filter(run -> run.askID().equals(askID)).isPresent();
        if (sameAsk && !before.lazy()) {
            return new Eager(before);
        }
        if (before.lazyFailed() || (before.lazy() && !sameAsk)) {
            String why = "it was tried, and " + before.why().orElse("QEMU ended before it was fed: see the pod's log");
            return without(strategy, true, why);
        }
        return switch (lazy) {
            case LazyStart.Possible _
            when strategy == RestoreStrategy.Auto && !verified && !sameAsk -> without(strategy, false, NOT_VERIFIED);
            case LazyStart.Possible start -> new Lazy(start);
            case LazyStart.NotPossible(String why) -> without(strategy, false, why);
        };
    }

    private static ResumeDecision without(RestoreStrategy strategy, boolean failed, String why) {
        return strategy == RestoreStrategy.Lazy ? new Refuse(why) : new Eager(Resume.eager(failed, why));
    }
}
