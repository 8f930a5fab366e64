package dev.torpor.agent.engine;

import java.util.Optional;
import java.util.Set;

/**
 * A QEMU that is to be resumed.
 *
 * @param facts what a probe found out
 * @param mapped names of the RAM blocks that it has mapped from the image; empty if all of it is to be loaded
 * @param settings of its migrations; empty if nobody has asked
 * @param memory where its guest saw its RAM blocks at that time; empty if nobody has asked, or QEMU did not say
 */
public record ResumeTarget(
        VmFacts facts, Set<String> mapped, Optional<MigrationSettings> settings, Optional<GuestMemory> memory) {
    public ResumeTarget {
        mapped = Set.copyOf(mapped);
    }
}
