package dev.torpor.agent.logind;

import org.freedesktop.dbus.connections.BusAddress;
import org.freedesktop.dbus.connections.config.TransportConfig;
import org.freedesktop.dbus.connections.transports.AbstractTransport;
import org.freedesktop.dbus.exceptions.TransportConfigurationException;
import org.freedesktop.dbus.spi.transport.ITransportProvider;

/** How dbus-java finds our transport (META-INF/services). */
public final class BusTransportProvider implements ITransportProvider {
    @Override
    public String getTransportName() {
        return "torpor";
    }

    @Override
    public AbstractTransport createTransport(BusAddress address, TransportConfig config)
            throws TransportConfigurationException {
        return new BusTransport(address, config);
    }

    @Override
    public String getSupportedBusType() {
        return "UNIX";
    }

    @Override
    public String createDynamicSessionAddress(boolean listening) {
        throw new UnsupportedOperationException("it connects to buses that are there");
    }
}
