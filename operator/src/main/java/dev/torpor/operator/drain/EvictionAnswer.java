package dev.torpor.operator.drain;

import java.net.HttpURLConnection;

/** What whoever evicts a pod is told. What each code makes kubectl drain do was tried: docs/adr/0008. */
sealed interface EvictionAnswer {
    /** It is none of our business: the API server answers. */
    record Allow() implements EvictionAnswer {}

    /**
     * Refused.
     *
     * @param code HTTP status
     * @param reason as in the status of an API server
     * @param message for people
     */
    record Refuse(int code, String reason, String message) implements EvictionAnswer {}

    /** Not now: kubectl drain prints the message and asks again after 5 s. */
    static EvictionAnswer wait(String message) {
        return new Refuse(429, "TooManyRequests", message);
    }

    /** There is nothing to evict: kubectl drain goes on as if the pod were gone. */
    static EvictionAnswer gone(String message) {
        return new Refuse(HttpURLConnection.HTTP_NOT_FOUND, "NotFound", message);
    }

    /** Not like this: kubectl drain prints the message, does not ask again, and ends with status 1. */
    static EvictionAnswer refuse(String message) {
        return new Refuse(HttpURLConnection.HTTP_CONFLICT, "Conflict", message);
    }
}
