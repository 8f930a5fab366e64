package dev.torpor.agent.image;

import java.io.IOException;

/**
 * Looks at recorded streams before they are committed: the main one must be QEMU's, of the machine that was saved, and end
 * as QEMU ends one; each other must begin as a channel of that number does (multifd_send_initial_packet of
 * migration/multifd.c).
 */
final class ChannelCheck {
    private static final long MAGIC = 0x5145_564DL; // QEVM
    private static final long VERSION = 3;
    private static final int CONFIGURATION = 7;
    private static final int MACHINE_TYPE_LENGTH_MAX = 256;
    /** QEMU's description of its device state is a few hundred KiB. */
    private static final int TAIL_BYTES_MAX = 16 << 20;

    private final ByteSource file;
    private final ChannelLayout layout;

    ChannelCheck(ByteSource file, ChannelLayout layout) {
        this.file = file;
        this.layout = layout;
    }

    void check(String machineType) throws IOException {
        ByteSource main = layout.stream(file, 0);
        long length = layout.lengthsBytes().getFirst();
        StreamReader head = new StreamReader(main, 0, length);
        expect("the stream's magic", head.u32("the stream's magic"), MAGIC);
        expect("the stream's version", head.u32("the stream's version"), VERSION);
        expect("the configuration section's type", head.u8("the configuration section"), CONFIGURATION);
        int letters = (int) Math.min(head.u32("the machine type"), MACHINE_TYPE_LENGTH_MAX);
        String machine = head.text(letters, "the machine type");
        if (!machine.equals(machineType)) {
            throw new MalformedImageException(
                    "it is of a machine " + machine + ", and QEMU says that it is " + machineType);
        }
        if (!StreamEnd.of(main, Math.max(0, length - TAIL_BYTES_MAX), length).found()) {
            throw new MalformedImageException("the device state does not end where the main channel ends");
        }
        for (int channel = 1; channel < layout.lengthsBytes().size(); channel++) {
            if (layout.lengthsBytes().get(channel) == 0) {
                throw new MalformedImageException("channel " + (channel - 1) + " is empty");
            }
        }
    }

    private static void expect(String what, long value, long expected) throws MalformedImageException {
        if (value != expected) {
            throw new MalformedImageException(
                    what + " is 0x" + Long.toHexString(value) + ", not 0x" + Long.toHexString(expected));
        }
    }
}
