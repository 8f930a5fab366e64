/**
 * The API group {@code torpor.dev}, version {@code v1alpha1}: custom resources as Java types, from which the
 * manifests in {@code crds/manifests} are generated. Mutable only here at the API's edge.
 */
@NullMarked
package dev.torpor.api.v1alpha1;

import org.jspecify.annotations.NullMarked;
