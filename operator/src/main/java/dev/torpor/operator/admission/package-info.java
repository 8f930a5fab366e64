/**
 * What is said to a VM's pod before it exists: which pods are refused and why, what is added to one, and what its author
 * is warned of. The rules are pure functions of a request; only the pods and the namespace are read, and nothing is ever
 * written, so that a dry run is like any other. Knows nothing of HTTP and certificates.
 */
@NullMarked
package dev.torpor.operator.admission;

import org.jspecify.annotations.NullMarked;
