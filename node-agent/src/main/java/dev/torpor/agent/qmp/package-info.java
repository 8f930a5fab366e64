/**
 * QEMU's machine protocol (docs/interop/qmp-spec.rst of QEMU), as one client of one monitor, and that of the agent in a guest,
 * which is made of the same lines. It knows commands as JSON, and nothing of images or engines; imports only {@code linux}. The peer is not trusted: every wait has a deadline, every
 * length a limit.
 */
@NullMarked
package dev.torpor.agent.qmp;

import org.jspecify.annotations.NullMarked;
