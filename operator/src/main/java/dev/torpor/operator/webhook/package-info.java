/**
 * The HTTPS server that API servers call: it carries a review to whoever answers for its path, and back. Serves in every
 * replica, leading or not. Imports admission, drain, certificates and metrics; knows no rules.
 */
@NullMarked
package dev.torpor.operator.webhook;

import org.jspecify.annotations.NullMarked;
