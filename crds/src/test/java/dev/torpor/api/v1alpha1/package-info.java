/** The API's Java types as JSON. */
@NullMarked
package dev.torpor.api.v1alpha1;

import org.jspecify.annotations.NullMarked;
