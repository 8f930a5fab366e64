package dev.torpor.operator.event;

/** An Event to be written. */
public record Notice(EventReason reason, String message) {}
