package dev.torpor.telemetry.log;

import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.encoder.EncoderBase;
import ch.qos.logback.core.encoder.JsonEscapeUtil;
import java.nio.charset.StandardCharsets;
import java.time.temporal.ChronoUnit;

/**
 * One JSON object a line, all values strings: time, level, logger, thread, message; of an object also kind, namespace,
 * name, uid, attempt; of an exception stackTrace.
 */
final class JsonEncoder extends EncoderBase<ILoggingEvent> {
    @Override
    public byte[] encode(ILoggingEvent event) {
        StringBuilder line = new StringBuilder(400).append('{');
        add(line, "time", event.getInstant().truncatedTo(ChronoUnit.MILLIS).toString());
        add(line, "level", event.getLevel().toString());
        add(line, "logger", event.getLoggerName());
        add(line, "thread", event.getThreadName());
        Identity.of(event.getMDCPropertyMap()).forEach((key, value) -> add(line, key, value));
        add(line, "message", String.valueOf(event.getFormattedMessage()));
        if (event.getThrowableProxy() != null) {
            add(line, "stackTrace", ThrowableProxyUtil.asString(event.getThrowableProxy()));
        }
        return line.append("}\n").toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void add(StringBuilder line, String name, String value) {
        if (line.length() > 1) {
            line.append(',');
        }
        line.append('"').append(name).append("\":\"");
        line.append(JsonEscapeUtil.jsonEscapeString(value)).append('"');
    }

    @Override
    public byte[] headerBytes() {
        return new byte[0];
    }

    @Override
    public byte[] footerBytes() {
        return new byte[0];
    }
}
