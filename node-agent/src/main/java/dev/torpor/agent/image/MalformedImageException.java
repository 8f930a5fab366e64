package dev.torpor.agent.image;

import java.io.IOException;
import java.io.Serial;

/** Bytes of an image or record are not what they must be; the message says which, for a person. */
class MalformedImageException extends IOException {
    @Serial
    private static final long serialVersionUID = 1L;

    private final String why;

    MalformedImageException(String why) {
        super(why);
        this.why = why;
    }

    /** Returns the message, as the middle of a sentence. */
    String why() {
        return why;
    }
}
