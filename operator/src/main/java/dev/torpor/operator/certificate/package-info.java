/**
 * The webhook's certificate: who makes it, when it is exchanged, and what is served at the moment.
 *
 * <p>The operator's own certificates live in a Secret. A <em>generation</em> is an authority made for it alone and the
 * certificate that it issued; the authority's key is forgotten at once. An exchange goes through states that any replica
 * can carry on with, whichever made the last step ({@code Rotation}):
 *
 * <pre>
 *   (none) --create--> current --prepare--> current + next --publish--> ... --promote--> current + previous --trim--> current
 * </pre>
 *
 * The bundles of both webhook configurations hold the authorities of all generations in the Secret, so that at any step
 * the API servers trust what any replica serves. With a mounted certificate somebody else does all that.
 * Knows nothing of pods and admission.
 */
@NullMarked
package dev.torpor.operator.certificate;

import org.jspecify.annotations.NullMarked;
