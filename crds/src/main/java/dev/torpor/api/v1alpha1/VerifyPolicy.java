package dev.torpor.api.v1alpha1;

/** Whether the pages of a saved image are read back by themselves. */
public enum VerifyPolicy {
    /** All of them, gently, once the image is Ready; and again from time to time for as long as it is kept. */
    AfterSave,

    /** Only on request. */
    Never
}
