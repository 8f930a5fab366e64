package dev.torpor.agent.image;

import java.io.IOException;

/** Steps of an image's making that are durable or proved; tests count them, and fail between them. */
enum Step {
    RECORDED_PARTIAL,
    FILE_CREATED,
    NO_WRITER_LEFT,
    STREAM_CHECKED,
    HEADER_WRITTEN,
    FILE_FLUSHED,
    RECORDED_COMPLETE;

    /** Hears of each step once it is done. */
    @FunctionalInterface
    interface Observer {
        void done(Step step) throws IOException;
    }
}
