/**
 * What the agent counts and measures. Knows the reasons of failures and nothing else of the agent: others tell it what
 * happened. No label names a VM, an object or a user's text, so that the number of series stays small.
 */
@NullMarked
package dev.torpor.agent.metrics;

import org.jspecify.annotations.NullMarked;
