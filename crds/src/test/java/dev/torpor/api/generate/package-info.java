/** Writes the files that are derived from the API's Java types, and fails the build when a committed one is stale. */
@NullMarked
package dev.torpor.api.generate;

import org.jspecify.annotations.NullMarked;
