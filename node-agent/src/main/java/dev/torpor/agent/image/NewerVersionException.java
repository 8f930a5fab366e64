package dev.torpor.agent.image;

import java.io.Serial;

/** A record is whole, and of a version that only a newer release reads. */
final class NewerVersionException extends MalformedImageException {
    @Serial
    private static final long serialVersionUID = 1L;

    NewerVersionException(String why) {
        super(why);
    }
}
