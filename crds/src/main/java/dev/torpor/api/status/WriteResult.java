package dev.torpor.api.status;

/** What became of a write of status. */
public sealed interface WriteResult<R> {
    /** Nothing was sent: the object already says so. */
    record Unchanged<R>() implements WriteResult<R> {}

    /** Written; the object as the API server has it now, with the version that the next transition carries. */
    record Written<R>(R object) implements WriteResult<R> {}

    /** The object has moved on since it was seen, or is another one under the same name: look again, then decide again. */
    record Stale<R>(String detail) implements WriteResult<R> {}

    /** There is no such object any more. */
    record Gone<R>() implements WriteResult<R> {}
}
