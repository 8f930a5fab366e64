package dev.torpor.agent.launch;

import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageLayout;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * How a QEMU is started whose RAM is the image itself, mapped privately: what it is not, its guest reads from the disk when
 * it wants it. A pure function of the command that the container names and of the image. What is not understood is not
 * changed: then there is a reason in words, and memory is loaded before the guest runs.
 */
public sealed interface LazyStart {
    /** Where a pod sees the images of its VM. */
    String IMAGES = "/run/torpor-images";

    /**
     * It can be done.
     *
     * @param argv the command with memory from the image, without monitor and {@code -incoming}
     * @param mapped names of the RAM blocks that come from the image
     */
    record Possible(List<String> argv, Set<String> mapped) implements LazyStart {
        public Possible {
            argv = List.copyOf(argv);
            mapped = Set.copyOf(mapped);
        }
    }

    /**
     * It cannot.
     *
     * @param why in words, as the end of a sentence
     */
    record NotPossible(String why) implements LazyStart {
        // It may quote what the VM's pod says, and goes to a status.
        private static final int LENGTH_MAX = 300;

        public NotPossible {
            String plain = why.replaceAll("[^ -~]", "?");
            why = plain.length() > LENGTH_MAX ? plain.substring(0, LENGTH_MAX) + "..." : plain;
        }
    }

    /**
     * The image that is to be mapped.
     *
     * @param header what it says of itself
     * @param layout where things are in it
     * @param folder which folder it is in
     */
    record Image(ImageHeader header, ImageLayout layout, FolderId folder) {}

    /** Returns the path that an image's file has in the pods of its VM. */
    static String pathInPod(ImageId image) {
        return IMAGES + "/" + image.fileName();
    }

    /** Finds out how. */
    static LazyStart of(Ask ask, Image image) {
        Optional<String> objection = LazyRules.objection(ask, image);
        if (objection.isPresent()) {
            return new NotPossible(objection.get());
        }
        return switch (QemuOptions.parse(ask.argv())) {
            case QemuOptions.Unknown(String why) -> new NotPossible(why);
            case QemuOptions.Known(QemuOptions options) ->
                LazyRules.objection(options)
                        .<LazyStart>map(NotPossible::new)
                        .orElseGet(() -> new LazyMemory(ask.argv(), options, image).plan());
        };
    }
}
