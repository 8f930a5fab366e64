/**
 * Saves the VMs of a node that is being emptied, instead of having them killed: the answers to evictions, the saves that
 * they and other signs of maintenance cause, their end when the drain ends, and the PodDisruptionBudgets that hold VMs
 * while no answer can be given. What becomes of a save is the snapshot controller's business; here it is only asked for,
 * cancelled, and looked at. Decisions are pure; all that they rest on is read from the API server itself. Imports the VM's
 * pods and classes and the Events; is imported by the process and the webhook's server.
 */
@NullMarked
package dev.torpor.operator.drain;

import org.jspecify.annotations.NullMarked;
