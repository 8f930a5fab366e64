/** What only a real kubelet and a real container runtime can show. */
@NullMarked
package dev.torpor.e2e.node;

import org.jspecify.annotations.NullMarked;
