/**
 * The agent's work on its node: answers launchers, saves and restores VMs as the API asks, and mirrors in status what is
 * true on the node's disk. Imports everything else of the agent, the API types and the Kubernetes client.
 *
 * <p>Each VM has one worker, which looks at one object or pod at a time: observe (a live read of the object, the image's
 * record, the journal), decide (a pure function with a sealed result), act. Every act may be repeated, as the agent may
 * die anywhere in it. What an agent finds after a restart:
 *
 * <pre>
 * image's record     what was going on                  what is done
 * (none)             nothing yet                        the save begins
 * Partial            a save                             QEMU's own work is awaited, the guest continued, the file
 *                                                       removed; then the save begins again, or is given up
 * Complete           saved, perhaps not yet said        the pod is retired (Save) or continued (Checkpoint), and it is said
 * HandedOver         a restore's guest about to run     in the same process: continued, if it should run; then said
 * Consumed           a restore, perhaps not yet said    it is said
 * </pre>
 */
@NullMarked
package dev.torpor.agent.work;

import org.jspecify.annotations.NullMarked;
