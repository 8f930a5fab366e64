package dev.torpor.telemetry.log;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.ILoggingEvent;
import ch.qos.logback.core.OutputStreamAppender;
import ch.qos.logback.core.encoder.Encoder;
import java.io.OutputStream;
import org.slf4j.LoggerFactory;

/** The logs of this process, on standard error. */
public final class Logging {
    private static final String OURS = "dev.torpor";
    // Warns once of each API version that is not stable: of ours, in every log.
    private static final String VERSION_WARNINGS = "io.fabric8.kubernetes.client.dsl.internal.VersionUsageUtils";
    // Calls each end of a bus an error, with a stack; who uses it says what that means.
    private static final String DBUS = "org.freedesktop.dbus";

    private Logging() {}

    /** Has this process log so from now on. */
    public static void apply(LogSettings settings) {
        apply(settings, System.err);
    }

    static void apply(LogSettings settings, OutputStream to) {
        apply((LoggerContext) LoggerFactory.getILoggerFactory(), settings, to);
    }

    static void apply(LoggerContext context, LogSettings settings, OutputStream to) {
        Encoder<ILoggingEvent> encoder =
                switch (settings.format()) {
                    case TEXT -> new TextEncoder();
                    case JSON -> new JsonEncoder();
                };
        encoder.setContext(context);
        encoder.start();
        OutputStreamAppender<ILoggingEvent> appender = new OutputStreamAppender<>();
        appender.setContext(context);
        appender.setName("process");
        appender.setEncoder(encoder);
        appender.setOutputStream(new Unclosed(to));
        appender.start();

        Level ours = Level.toLevel(settings.level().name());
        Logger root = context.getLogger(org.slf4j.Logger.ROOT_LOGGER_NAME);
        root.detachAndStopAllAppenders();
        root.addAppender(appender);
        // The client's and the framework's own DEBUG prints requests and resources whole.
        root.setLevel(ours.isGreaterOrEqual(Level.INFO) ? ours : Level.INFO);
        context.getLogger(OURS).setLevel(ours);
        context.getLogger(VERSION_WARNINGS).setLevel(Level.ERROR);
        context.getLogger(DBUS).setLevel(Level.OFF);
    }

    /** Standard error belongs to the process, not to an appender that is replaced. */
    private static final class Unclosed extends java.io.FilterOutputStream {
        Unclosed(OutputStream to) {
            super(to);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) throws java.io.IOException {
            out.write(bytes, offset, length);
        }

        @Override
        public void close() throws java.io.IOException {
            flush();
        }
    }
}
