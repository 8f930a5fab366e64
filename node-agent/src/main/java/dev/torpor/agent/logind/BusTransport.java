package dev.torpor.agent.logind;

import java.io.IOException;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Optional;
import org.freedesktop.dbus.connections.BusAddress;
import org.freedesktop.dbus.connections.SASL;
import org.freedesktop.dbus.connections.config.TransportConfig;
import org.freedesktop.dbus.connections.transports.AbstractTransport;
import org.freedesktop.dbus.exceptions.TransportConfigurationException;

/** Connects dbus-java to a bus that listens on a UNIX socket, such that descriptors come through. Never listens itself. */
final class BusTransport extends AbstractTransport {
    private final Path path;
    private volatile Optional<BusChannel> channel = Optional.empty();

    BusTransport(BusAddress address, TransportConfig config) throws TransportConfigurationException {
        super(address, config);
        String its = address.getParameterValue("path");
        if (its == null || address.isListeningSocket()) {
            throw new TransportConfigurationException("the address of a bus has to name the path of its socket");
        }
        path = Path.of(its);
        getSaslConfig().setAuthMode(SASL.AUTH_EXTERNAL);
    }

    /** Returns the connection, once it was made. */
    BusChannel channel() {
        return channel.orElseThrow();
    }

    @Override
    protected boolean hasFileDescriptorSupport() {
        return true;
    }

    @Override
    protected SocketChannel connectImpl() throws IOException {
        BusChannel connected = new BusChannel(path);
        channel = Optional.of(connected);
        return connected;
    }

    @Override
    protected void closeTransport() throws IOException {
        if (channel.isPresent()) {
            channel.get().close();
        }
    }

    @Override
    protected boolean isBound() {
        return false;
    }

    @Override
    protected void bindImpl() {
        throw new UnsupportedOperationException("it does not listen");
    }

    @Override
    protected SocketChannel acceptImpl() {
        throw new UnsupportedOperationException("it does not listen");
    }
}
