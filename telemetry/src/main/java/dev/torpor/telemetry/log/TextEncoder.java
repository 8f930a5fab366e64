package dev.torpor.telemetry.log;

import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.classic.spi.ThrowableProxyUtil;
import ch.qos.logback.core.encoder.EncoderBase;
import java.nio.charset.StandardCharsets;
import java.time.temporal.ChronoUnit;
import java.util.Map;

/** A line for people: time, level, thread, who says it, of what, what. Stack traces follow on lines of their own. */
final class TextEncoder extends EncoderBase<ILoggingEvent> {
    @Override
    public byte[] encode(ILoggingEvent event) {
        StringBuilder line = new StringBuilder(200);
        line.append(event.getInstant().truncatedTo(ChronoUnit.MILLIS)).append(' ');
        line.append(String.format("%-5s", event.getLevel())).append(" [");
        line.append(event.getThreadName()).append("] ");
        line.append(event.getLoggerName().substring(event.getLoggerName().lastIndexOf('.') + 1));
        Map<String, String> identity = Identity.of(event.getMDCPropertyMap());
        if (!identity.isEmpty()) {
            append(line, identity);
        }
        line.append(" - ");
        appendInOneLine(line, String.valueOf(event.getFormattedMessage()));
        line.append('\n');
        if (event.getThrowableProxy() != null) {
            line.append(ThrowableProxyUtil.asString(event.getThrowableProxy()));
        }
        return line.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void append(StringBuilder line, Map<String, String> identity) {
        line.append(" [").append(identity.getOrDefault(Identity.KIND, "?")).append(' ');
        line.append(identity.getOrDefault(Identity.NAMESPACE, "?")).append('/');
        line.append(identity.getOrDefault(Identity.NAME, "?"));
        String uid = identity.get(Identity.UID);
        if (uid != null) {
            line.append(" uid ").append(uid);
        }
        String attempt = identity.get(Identity.ATTEMPT);
        if (attempt != null) {
            line.append(" attempt ").append(attempt);
        }
        line.append(']');
    }

    // Messages quote what a VM sent: it must not be able to forge a line, or to speak to the terminal that shows it.
    private static void appendInOneLine(StringBuilder line, String message) {
        for (int i = 0; i < message.length(); i++) {
            char c = message.charAt(i);
            switch (c) {
                case '\n' -> line.append("\\n");
                case '\r' -> line.append("\\r");
                default -> line.append(Character.isISOControl(c) && c != '\t' ? '?' : c);
            }
        }
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
