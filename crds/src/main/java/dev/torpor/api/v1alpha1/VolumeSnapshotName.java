package dev.torpor.api.v1alpha1;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/**
 * Names of VolumeSnapshots, one for each pause of a guest: operator and agent find the same, and what was cut in an earlier
 * pause is never taken for what belongs to this one.
 */
public final class VolumeSnapshotName {
    private static final int DIGITS = 10;
    private static final int LENGTH_MAX = 253; // a DNS subdomain

    private VolumeSnapshotName() {}

    /**
     * Returns the name.
     *
     * @param snapshotUID of the VMSnapshot
     * @param claimName of the PersistentVolumeClaim
     * @param pausedAt as it stands in status
     */
    public static String of(String snapshotUID, String claimName, String pausedAt) {
        try {
            byte[] hash = MessageDigest.getInstance("SHA-256")
                    .digest(String.join("/", snapshotUID, claimName, pausedAt).getBytes(StandardCharsets.UTF_8));
            String digits = HexFormat.of().formatHex(hash).substring(0, DIGITS);
            // Cut where a name may not end: the digits follow.
            int room = LENGTH_MAX - DIGITS - 1;
            return (claimName.length() > room ? claimName.substring(0, room).replaceAll("[.-]+$", "") : claimName) + "-"
                    + digits;
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e); // every Java has it
        }
    }
}
