package dev.torpor.agent.image;

/** What the image was made for, which decides what becomes of it. */
public enum ImageMode {
    /** The VM was stopped for good; resuming consumes the image. */
    SAVE("Save"),
    /** Like {@link #SAVE}, and the VM's next start resumes it. */
    MANAGED_SAVE("ManagedSave"),
    /** The VM carried on; the image is never consumed. */
    CHECKPOINT("Checkpoint");

    private final String word;

    ImageMode(String word) {
        this.word = word;
    }

    /** Returns the mode as records, headers and the API spell it. */
    public String word() {
        return word;
    }

    @Override
    public String toString() {
        return word;
    }
}
