package dev.torpor.api.v1alpha1;

/** What becomes of the image file when its object is deleted. */
public enum DeletionPolicy {
    /** The file is deleted. */
    Delete,

    /** The file stays in the store. */
    Retain
}
