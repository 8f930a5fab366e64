/**
 * QEMU's machine protocol (docs/interop/qmp-spec.rst of QEMU): one client of one monitor. It knows commands as JSON, and
 * nothing of images or engines; imports only {@code linux}. The peer is not trusted: every wait has a deadline, every
 * length a limit.
 */
@NullMarked
package dev.torpor.agent.qmp;

import org.jspecify.annotations.NullMarked;
