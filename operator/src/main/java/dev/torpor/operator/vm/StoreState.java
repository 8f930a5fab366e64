package dev.torpor.operator.vm;

/** Whether the image store of a node answers. */
public sealed interface StoreState {
    /** The node's agent renews its lease. */
    record Alive(String nodeUid, String storeId) implements StoreState {}

    /** The node is there, its agent or the store that was meant is not; the message says what to do. */
    record Away(String message) implements StoreState {}

    /** The node object is gone, or another one has its name: the store is not coming back by itself. */
    record NodeGone(String message) implements StoreState {}
}
