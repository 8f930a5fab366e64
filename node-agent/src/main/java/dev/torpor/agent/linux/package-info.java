/**
 * The Linux calls that Java does not have: opening below a directory descriptor without following links, direct I/O,
 * leases, flushes, and UNIX sockets that carry descriptors. The only package that binds native code; it knows nothing
 * of the others. Everything here blocks the calling platform thread while the kernel works.
 */
@NullMarked
package dev.torpor.agent.linux;

import org.jspecify.annotations.NullMarked;
