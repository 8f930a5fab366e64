package dev.torpor.api.v1alpha1;

import java.util.Locale;

/** Names of VMSnapshots that are made for a pod, so that whoever makes the same save finds the same name. */
public final class PodSaveName {
    private static final int UID_CHARACTERS = 8;

    private PodSaveName() {}

    /** Returns {@code <VM>-<first 8 of the pod's UID>}. */
    public static String of(String vm, String podUID) {
        // A label takes letters and signs that a name does not; the UID keeps apart what becomes equal.
        String name = vm.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "-");
        return name + "-" + podUID.substring(0, Math.min(UID_CHARACTERS, podUID.length()));
    }
}
