/**
 * Real Kubernetes parts for tests and the demo: the binaries, a control plane of one's own under one directory,
 * nodes on top of it. Knows nothing of saving or restoring. Every process that it starts ends with its owner, or
 * with this JVM at the latest.
 */
@NullMarked
package dev.torpor.e2e.cluster;

import org.jspecify.annotations.NullMarked;
