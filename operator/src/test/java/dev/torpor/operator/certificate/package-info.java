@NullMarked
package dev.torpor.operator.certificate;

import org.jspecify.annotations.NullMarked;
