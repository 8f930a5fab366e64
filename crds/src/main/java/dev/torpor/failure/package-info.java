/**
 * Why something could not be done: one enum of reasons for the whole product, and the exception that carries it.
 * Imports nothing: the image format, the engines and the API all speak of the same reasons.
 */
@NullMarked
package dev.torpor.failure;

import org.jspecify.annotations.NullMarked;
