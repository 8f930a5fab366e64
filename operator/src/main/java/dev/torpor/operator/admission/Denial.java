package dev.torpor.operator.admission;

import io.javaoperatorsdk.webhook.admission.NotAllowedException;

/**
 * Why an object is refused.
 *
 * @param code HTTP status that the API server answers with
 * @param message what is wrong with which object, and what to do
 */
record Denial(int code, String message) {
    /** The object will never be what we ask for, whatever it says. */
    static Denial forbidden(String message) {
        return new Denial(403, message);
    }

    /** It is refused for now. */
    static Denial conflict(String message) {
        return new Denial(409, message);
    }

    /** The object says something that has to be changed. */
    static Denial invalid(String message) {
        return new Denial(422, message);
    }

    /** We cannot tell at the moment. */
    static Denial unavailable(String message) {
        return new Denial(503, message);
    }

    NotAllowedException exception() {
        return new NotAllowedException(message, code);
    }
}
