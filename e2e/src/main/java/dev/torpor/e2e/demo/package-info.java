/** {@code make demo}: a VM is saved and brought back on a real node, as a new user would do it. */
@NullMarked
package dev.torpor.e2e.demo;

import org.jspecify.annotations.NullMarked;
