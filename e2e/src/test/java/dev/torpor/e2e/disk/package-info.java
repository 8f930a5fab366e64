/** Disks of the tests' own, with a file system on them, that go wrong when they are told to. */
@NullMarked
package dev.torpor.e2e.disk;

import org.jspecify.annotations.NullMarked;
