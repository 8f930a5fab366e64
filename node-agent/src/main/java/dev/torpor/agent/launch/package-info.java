/**
 * How a VM starts. The launcher in the VM's container asks through files in a directory that the VM can write to, the
 * agent answers; what it answers is decided by {@link dev.torpor.agent.launch.StartDecision} from the journal that this
 * package keeps for each VM, and from what the cluster says. Knows no Kubernetes; imports {@code image}, for the
 * identity of processes and images, and {@code linux}.
 *
 * <p>Every byte of an ask may be hostile: names, sizes, counts and waits are bounded, nothing here follows a link or
 * blocks on a FIFO.
 */
@NullMarked
package dev.torpor.agent.launch;

import org.jspecify.annotations.NullMarked;
