/**
 * Engine and image store together on a real QEMU under TCG, without a cluster: what is saved is what is restored, and a
 * save that goes wrong leaves the VM running.
 */
@NullMarked
package dev.torpor.e2e.qemu;

import org.jspecify.annotations.NullMarked;
