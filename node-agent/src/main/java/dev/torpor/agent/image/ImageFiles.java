package dev.torpor.agent.image;

import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An image's file opened for QEMU, as QEMU's fdset wants it: each from an open(2) of its own, with exactly the access that
 * is needed. Closed by whoever asked for it, once QEMU has its own copies.
 *
 * @param buffered opened through the page cache
 * @param direct opened with O_DIRECT, if that was asked for
 */
public record ImageFiles(Descriptor buffered, Optional<Descriptor> direct) implements AutoCloseable {
    static ImageFiles open(Directory folder, String name, Access access, boolean directIO, Access directAccess)
            throws IOException {
        Descriptor buffered = folder.openFile(name, access);
        try {
            return new ImageFiles(
                    buffered, directIO ? Optional.of(folder.openFile(name, directAccess)) : Optional.empty());
        } catch (IOException e) {
            buffered.close();
            throw e;
        }
    }

    /** Returns the descriptors in the order in which QEMU should get them. */
    public List<Descriptor> all() {
        List<Descriptor> all = new ArrayList<>(List.of(buffered));
        direct.ifPresent(all::add);
        return all;
    }

    @Override
    public void close() throws IOException {
        try (Descriptor _ = buffered) {
            if (direct.isPresent()) {
                direct.get().close();
            }
        }
    }
}
