package dev.torpor.agent.image;

import java.util.regex.Pattern;

/**
 * Which image: names of its VM and the UID of the save that made it. Each part is safe as a file name, whoever chose it.
 *
 * @param namespace namespace of the VM
 * @param vm name of the VM
 * @param uid identifies the save; the snapshot's UID in a cluster
 */
public record ImageId(String namespace, String vm, String uid) implements Comparable<ImageId> {
    private static final int LENGTH_MAX = 63;
    // Label values of Kubernetes, which VM names are: no separator, no leading dot.
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?");
    // No dot: the file's suffix is told from the UID by the dot.
    private static final Pattern UID = Pattern.compile("[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?");

    /**
     * Checks that every part can be a file name.
     *
     * @throws IllegalArgumentException if one is empty, longer than 63 characters, or has characters other than letters,
     *     digits, and (inside) {@code -}, {@code _}, {@code .}; {@code uid} only {@code -}
     */
    public ImageId {
        check("namespace", namespace, NAME);
        check("VM name", vm, NAME);
        check("image UID", uid, UID);
    }

    /** Tells whether this can be an image's UID. */
    public static boolean isUid(String text) {
        return text.length() <= LENGTH_MAX && UID.matcher(text).matches();
    }

    static boolean isName(String text) {
        return text.length() <= LENGTH_MAX && NAME.matcher(text).matches();
    }

    /** Tells whether a directory entry can be ours at all: temporary files begin with a dot. */
    static boolean isEntry(String name) {
        return !name.startsWith(".");
    }

    /** Returns the path of the image's file, relative to the store. */
    public String relativePath() {
        return ImageStore.IMAGES + "/" + namespace + "/" + vm + "/" + fileName();
    }

    @Override
    public int compareTo(ImageId other) {
        int c = namespace.compareTo(other.namespace);
        c = c != 0 ? c : vm.compareTo(other.vm);
        return c != 0 ? c : uid.compareTo(other.uid);
    }

    @Override
    public String toString() {
        return namespace + "/" + vm + "/" + uid;
    }

    /** Returns the name of the image's file in its VM's folder. */
    public String fileName() {
        return uid + ImageStore.FILE_SUFFIX;
    }

    String recordName() {
        return uid + ImageStore.RECORD_SUFFIX;
    }

    /** Returns the name of the plan of what to read ahead, beside the image while it is lent. */
    public String planName() {
        return uid + ImageStore.PLAN_SUFFIX;
    }

    String checksumsName() {
        return uid + ImageStore.CHECKSUMS_SUFFIX;
    }

    String damageName() {
        return uid + ImageStore.DAMAGE_SUFFIX;
    }

    String shadowName() {
        return uid + ImageStore.SHADOW_SUFFIX;
    }

    private static void check(String what, String text, Pattern pattern) {
        if (text.length() > LENGTH_MAX || !pattern.matcher(text).matches()) {
            String shown = text.length() > LENGTH_MAX ? text.substring(0, LENGTH_MAX) + "..." : text;
            throw new IllegalArgumentException(what + " '" + shown + "' is not 1 to " + LENGTH_MAX
                    + " letters, digits or inner '-'" + (pattern.equals(NAME) ? ", '_', '.'" : ""));
        }
    }
}
