package dev.torpor.agent.work;

/** A look at an image's pages is broken off: the agent ends, or the image is needed for something else. */
final class EndedException extends RuntimeException {
    private static final long serialVersionUID = 1L;
}
