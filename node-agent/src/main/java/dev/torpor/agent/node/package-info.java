/**
 * The node around the agent: the directory that a pod's launcher and the agent share, and the monitor of the QEMU in a
 * pod, proved to be that pod's. Imports {@code linux}, {@code qmp} and {@code image}'s identity of a process.
 */
@NullMarked
package dev.torpor.agent.node;

import org.jspecify.annotations.NullMarked;
