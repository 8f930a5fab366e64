package dev.torpor.agent.logind;

import java.nio.channels.SocketChannel;
import java.util.List;
import org.freedesktop.dbus.FileDescriptor;
import org.freedesktop.dbus.spi.message.AbstractInputStreamMessageReader;
import org.freedesktop.dbus.spi.message.AbstractOutputStreamMessageWriter;
import org.freedesktop.dbus.spi.message.IMessageReader;
import org.freedesktop.dbus.spi.message.IMessageWriter;
import org.freedesktop.dbus.spi.message.ISocketProvider;
import org.jspecify.annotations.Nullable;

/** Reads messages and the descriptors that came with them, for dbus-java (META-INF/services). Sends none. */
public final class BusMessages implements ISocketProvider {
    private boolean descriptors;

    @Override
    public @Nullable IMessageReader createReader(SocketChannel channel) {
        return channel instanceof BusChannel ? new Reader(channel, this) : null;
    }

    @Override
    public @Nullable IMessageWriter createWriter(SocketChannel channel) {
        return channel instanceof BusChannel ? new Writer(channel, this) : null;
    }

    @Override
    public void setFileDescriptorSupport(boolean supported) {
        descriptors = supported;
    }

    @Override
    public boolean isFileDescriptorPassingSupported() {
        return descriptors;
    }

    private static final class Reader extends AbstractInputStreamMessageReader {
        Reader(SocketChannel channel, ISocketProvider provider) {
            super(channel, provider);
        }

        @Override
        protected List<FileDescriptor> readFileDescriptors(SocketChannel channel) {
            return ((BusChannel) channel)
                    .fresh().stream().map(FileDescriptor::new).toList();
        }
    }

    private static final class Writer extends AbstractOutputStreamMessageWriter {
        Writer(SocketChannel channel, ISocketProvider provider) {
            super(channel, provider);
        }

        @Override
        protected void writeFileDescriptors(SocketChannel channel, List<FileDescriptor> none) {}
    }
}
