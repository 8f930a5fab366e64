package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.ErrnoException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/**
 * Lets the QEMU of a VM open the VM's image by its path, for as long as that takes it. The VM's own folder, and nothing
 * above it, is mounted in its pod, read-only. QEMU may run there as any user, also as one that the node does not know, so
 * the file becomes readable for all who can reach it: who that is, is decided by the store's directory of images, which only
 * its owner can enter.
 */
final class ImageLoan {
    private static final int OWNER_ONLY = 0700;
    private static final int OTHERS_PASS = 0711;
    private static final int OTHERS_READ = 0444;
    private static final int PRIVATE_FILE = 0600;

    private ImageLoan() {}

    /**
     * Begins.
     *
     * @param images the directory above all VMs'; the kubelet may have made it, with another mode than ours
     * @param folder the VM's
     * @param plan what to read ahead ({@link ReadAheadPlan})
     */
    static void begin(Directory images, Directory folder, ImageId id, String plan) throws IOException {
        images.changeMode(OWNER_ONLY);
        folder.unlink(id.planName());
        try (Descriptor file = folder.createFile(id.planName())) {
            file.write(ByteBuffer.wrap(plan.getBytes(StandardCharsets.US_ASCII)), 0);
            file.changeMode(OTHERS_READ);
        }
        changeMode(folder, id, OTHERS_READ);
        folder.changeMode(OTHERS_PASS);
    }

    /** Ends: what was opened or mapped meanwhile stays so. May be repeated; a file that is gone is fine. */
    static void end(Directory folder, ImageId id) throws IOException {
        folder.changeMode(OWNER_ONLY);
        folder.unlink(id.planName());
        try {
            changeMode(folder, id, PRIVATE_FILE);
        } catch (ErrnoException e) {
            if (e.errno() != ErrnoException.ENOENT) {
                throw e;
            }
        }
    }

    private static void changeMode(Directory folder, ImageId id, int mode) throws IOException {
        try (Descriptor file = folder.openFile(id.fileName(), Access.READ)) {
            file.changeMode(mode);
        }
    }
}
