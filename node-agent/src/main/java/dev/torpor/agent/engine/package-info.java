/**
 * Gets a VM's memory into an image and back: probes QEMU, chooses, drives its migration code over QMP, compares the
 * target of a restore with what was saved. Imports {@code qmp}, {@code image} and {@code linux}; knows no Kubernetes.
 *
 * <p>Rules of this package, each from a trial on QEMU 10.0.2 and 11.1.3: {@code migrate_cancel} is never sent (it kills a
 * multifd save with mapped-ram in 2 to 4 % of cancels); both descriptors are checked before {@code migrate} (a missing
 * O_DIRECT one kills QEMU); one load for each process (after a failed one, {@code cont} answers success and does nothing).
 */
@NullMarked
package dev.torpor.agent.engine;

import org.jspecify.annotations.NullMarked;
