package dev.torpor.agent.image;

import java.time.Instant;
import java.util.Optional;
import java.util.UUID;

/**
 * The small record beside an image: its state, and what the file must look like.
 *
 * @param id which image
 * @param intent what was known before the save
 * @param seal what the commit wrote; empty while Partial
 * @param state where the image is in its life
 */
public record ImageRecord(ImageId id, PartialIntent intent, Optional<Seal> seal, ImageState state) {
    private static final String PART_OF_ITS_OWN = "-";
    private static final int UID_CHARACTERS = 8;

    /**
     * What pins the file to its record.
     *
     * @param sizeBytes length of the file
     * @param headerCrc32c checksum of the header area as it stands in it
     * @param modifiedAt when the commit wrote to it, as the file system says; empty in records of older releases
     */
    public record Seal(long sizeBytes, int headerCrc32c, Optional<Instant> modifiedAt) {}

    /** Tells whether this committed image is there to stop the VM of a pod, and waits to be resumed or discarded. */
    public boolean stoppedForGood(String podUID) {
        boolean waits = state instanceof ImageState.Complete || state instanceof ImageState.Verified;
        return waits
                && intent.mode() != ImageMode.CHECKPOINT
                && intent.source()
                        .filter(process -> process.podUID().equals(podUID))
                        .isPresent();
    }

    /**
     * Returns a UID for an image that an agent makes by itself, as a pod is terminated. Each try has one of its own: a
     * VMSnapshot of an earlier one may have been told that it failed, which is for good.
     */
    public static String newUidOfTermination(String podUID) {
        return podUID + PART_OF_ITS_OWN + UUID.randomUUID().toString().substring(0, UID_CHARACTERS);
    }

    /** Tells whether the agent made this image by itself, as its pod was terminated. */
    public boolean isOfTermination() {
        return intent.source()
                .map(ProcessIdentity::podUID)
                .filter(podUID -> !podUID.isEmpty() && id.uid().startsWith(podUID + PART_OF_ITS_OWN))
                .isPresent();
    }

    /** Tells whether the image was made without a VMSnapshot, so that somebody is to make one of it. */
    public boolean isWithoutRequest() {
        return isOfTermination() || intent.imported();
    }

    ImageRecord with(ImageState next) {
        return new ImageRecord(id, intent, seal, next);
    }
}
