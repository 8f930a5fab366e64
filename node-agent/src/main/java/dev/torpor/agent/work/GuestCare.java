package dev.torpor.agent.work;

import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.agent.qmp.GuestAgentException;
import dev.torpor.api.v1alpha1.GuestStatus;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * What is done for a guest beside saving and loading it, as far as QEMU and the agent in the guest can. All of it is best
 * effort and takes seconds at most: no save and no restore fails for it.
 */
final class GuestCare {
    private static final Logger LOG = LoggerFactory.getLogger(GuestCare.class);

    // qemu-ga also sets the virtual hardware's clock, by hwclock, which waits for the turn of a second.
    private static final Duration WAKE = Duration.ofSeconds(3);
    private static final Duration ASK = Duration.ofSeconds(1);
    // Hooks of databases and a full page cache are written out meanwhile; the guest still runs.
    private static final Duration FREEZE = Duration.ofSeconds(10);
    private static final Duration THAW = Duration.ofSeconds(5);
    private static final int THAW_TRIES = 3;

    private GuestCare() {}

    /** Tells the network where a guest is now that runs again. Again is harmless. */
    static void announce(Vm vm) {
        try {
            vm.announce();
        } catch (TorporException e) {
            LOG.warn("the guest runs, and its network cards could not be announced: {}", e.getMessage());
        }
    }

    /**
     * Gives a guest that runs again the time of day.
     *
     * @param frozen whether its file systems may have been frozen when it was saved
     * @return what came of it; empty if the VM has no channel to an agent
     */
    static Optional<GuestStatus> wake(Vm vm, InstantSource clock, boolean frozen) {
        Optional<String> version = Optional.empty();
        try (GuestAgentClient agent = vm.guestAgent(WAKE).orElse(null)) {
            if (agent == null) {
                return Optional.empty();
            }
            if (frozen) {
                agent.thaw();
            }
            version = Optional.of(agent.version());
            agent.setTime(clock.instant());
            return Optional.of(new GuestStatus(version.get(), true, null));
        } catch (GuestAgentException e) {
            LOG.warn("the guest runs, and its clock was not set: {}", e.getMessage());
            return Optional.of(new GuestStatus(version.orElse(null), false, e.getMessage()));
        }
    }

    /** Tells whether a guest can be frozen, and is not by somebody else; empty if the VM has no channel to an agent. */
    static Optional<Boolean> canFreeze(Vm vm) {
        try (GuestAgentClient agent = vm.guestAgent(ASK).orElse(null)) {
            return agent == null ? Optional.empty() : Optional.of(!agent.frozen());
        } catch (GuestAgentException e) {
            LOG.warn("the guest's file systems are not frozen for the save: {}", e.getMessage());
            return Optional.of(false);
        }
    }

    /** Freezes the file systems of a running guest, and tells whether it did. Whatever it says, {@link #thaw} is due afterwards. */
    static boolean freeze(Vm vm) {
        try (GuestAgentClient agent = vm.guestAgent(FREEZE).orElse(null)) {
            if (agent == null) {
                return false;
            }
            agent.freeze();
            return true;
        } catch (GuestAgentException e) {
            LOG.warn("the guest's file systems are not frozen for the save: {}", e.getMessage());
            return false;
        }
    }

    /** Thaws the file systems of a guest that runs again. */
    static void thaw(Vm vm) {
        for (int attempt = 1; attempt <= THAW_TRIES; attempt++) {
            try (GuestAgentClient agent = vm.guestAgent(THAW).orElse(null)) {
                if (agent != null) {
                    agent.thaw();
                }
                return;
            } catch (GuestAgentException e) {
                LOG.warn("thawing the guest's file systems, try {}: {}", attempt, e.getMessage());
            }
        }
        LOG.error("the guest's file systems may still be frozen, as its agent does not answer: run fsfreeze -u in it");
    }
}
