/**
 * The command line {@code torpor-agent}: saves and restores a VM by hand over any QMP socket, looks into images, starts
 * the agent of a node. May use all other packages; none uses it.
 */
@NullMarked
package dev.torpor.agent.cli;

import org.jspecify.annotations.NullMarked;
