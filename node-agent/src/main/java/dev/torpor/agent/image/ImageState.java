package dev.torpor.agent.image;

/** Where an image is in its life, as its record says (diagram in the package's description). */
public sealed interface ImageState {
    /** Being written, or left behind by a crash: never restored, may be abandoned. */
    record Partial() implements ImageState {}

    /** Committed: flushed, checked, its sizes and checksums recorded. */
    record Complete() implements ImageState {}

    /** Committed, and every page was read back since. */
    record Verified() implements ImageState {}

    /**
     * Given to a process whose guest runs, or is about to.
     *
     * @param process the QEMU it was given to
     */
    record HandedOver(ProcessIdentity process) implements ImageState {}

    /** Resumed; its file is removed, its record says that it must not be asked for again. */
    record Consumed() implements ImageState {}

    /** The VM has run since from its disks, so the image no longer belongs to them. */
    record Stale() implements ImageState {}

    /** Returns the state's name, as records spell it. */
    default String word() {
        return switch (this) {
            case Partial _ -> "Partial";
            case Complete _ -> "Complete";
            case Verified _ -> "Verified";
            case HandedOver _ -> "HandedOver";
            case Consumed _ -> "Consumed";
            case Stale _ -> "Stale";
        };
    }

    /** Tells whether an image in this state may be resumed (a checkpoint may even after it was handed over). */
    default boolean restorable(ImageMode mode) {
        return switch (this) {
            case Complete _, Verified _ -> true;
            case HandedOver _ -> mode == ImageMode.CHECKPOINT;
            case Partial _, Consumed _, Stale _ -> false;
        };
    }

    /**
     * Tells whether an image may go from this state to another; to the same one always, as every step may be repeated.
     * {@code Partial} becomes {@code Complete} by a commit only.
     */
    default boolean mayBecome(ImageState next, ImageMode mode) {
        if (equals(next)) {
            return true;
        }
        return switch (this) {
            case Partial _, Consumed _, Stale _ -> false;
            case Complete _ -> next instanceof Verified || next instanceof HandedOver || next instanceof Stale;
            case Verified _ -> next instanceof HandedOver || next instanceof Stale;
            case HandedOver _ ->
                switch (next) {
                    case Consumed _ -> mode != ImageMode.CHECKPOINT;
                    case HandedOver _, Verified _, Complete _ -> mode == ImageMode.CHECKPOINT;
                    case Partial _, Stale _ -> false;
                };
        };
    }
}
