/** A guest that shows whether its memory is what it was, and QEMU processes that run it. */
@NullMarked
package dev.torpor.e2e.guest;

import org.jspecify.annotations.NullMarked;
