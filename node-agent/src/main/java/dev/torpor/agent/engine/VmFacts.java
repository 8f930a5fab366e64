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
 * @param blockedReasons QEMU's sentences on why the VM cannot be saved; empty if it can
 * @param descriptorsLeft how many more files QEMU may open; empty if its process is not visible to us
 */
public record VmFacts(
        VmDefinition definition,
        Set<String> capabilities,
        Set<String> parameters,
        RunState runState,
        List<String> blockedReasons,
        OptionalLong descriptorsLeft) {
    public VmFacts {
        capabilities = Set.copyOf(capabilities);
        parameters = Set.copyOf(parameters);
        blockedReasons = List.copyOf(blockedReasons);
    }
}
