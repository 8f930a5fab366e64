package dev.torpor.agent.engine;

import dev.torpor.agent.image.VmDefinition;
import java.util.List;
import java.util.OptionalLong;
import java.util.Set;

/**
 * What a probe found out about a QEMU and its VM.
 *
 * @param definition what an image records of the VM
 * @param capabilities names of the migration capabilities that this QEMU has
 * @param parameters names of the migration parameters that this QEMU has
 * @param runState run state at the time
 * @param migration what became of its last migration, in QEMU's word; {@code none} if there never was one
 * @param blockedReasons QEMU's sentences on why the VM cannot be saved; empty if it can
 * @param descriptorsLeft how many more files QEMU may open; empty if its process is not visible to us
 */
public record VmFacts(
        VmDefinition definition,
        Set<String> capabilities,
        Set<String> parameters,
        RunState runState,
        String migration,
        List<String> blockedReasons,
        OptionalLong descriptorsLeft) {
    public VmFacts {
        capabilities = Set.copyOf(capabilities);
        parameters = Set.copyOf(parameters);
        blockedReasons = List.copyOf(blockedReasons);
    }

    /** Tells whether this QEMU waits for an image and has not begun to read one: only then may it be fed. */
    public boolean isFresh() {
        return runState.incoming() && migration.equals("none");
    }
}
