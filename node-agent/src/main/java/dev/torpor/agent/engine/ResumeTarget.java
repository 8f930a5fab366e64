package dev.torpor.agent.engine;

import java.util.Set;

/**
 * A QEMU that is to be resumed.
 *
 * @param facts what a probe found out
 * @param mapped names of the RAM blocks that it has mapped from the image; empty if all of it is to be loaded
 */
public record ResumeTarget(VmFacts facts, Set<String> mapped) {
    public ResumeTarget {
        mapped = Set.copyOf(mapped);
    }
}
