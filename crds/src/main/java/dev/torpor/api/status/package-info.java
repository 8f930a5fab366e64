/**
 * How status is written, by operator and agents alike: conditions that keep their transition times, who owns which
 * field, and server-side apply that never forces. Imports the API types and the Kubernetes client, nothing else of ours.
 */
@NullMarked
package dev.torpor.api.status;

import org.jspecify.annotations.NullMarked;
