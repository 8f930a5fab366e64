package dev.torpor.telemetry.log;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.telemetry.log.LogSettings.Format;
import dev.torpor.telemetry.log.LogSettings.Level;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** What is written, byte by byte, by the backend that the processes use. */
class LogLinesTest {
    private static final Logger LOG = LoggerFactory.getLogger(LogLinesTest.class);
    private static final Logger OF_A_LIBRARY = LoggerFactory.getLogger("io.fabric8.kubernetes.client.Something");
    private static final ObjectRef SNAPSHOT = new ObjectRef("VMSnapshot", "vms", "web-saved", Optional.of("u-1"));

    private final ByteArrayOutputStream written = new ByteArrayOutputStream();

    @AfterEach
    void putBack() {
        MDC.clear();
        Logging.apply(LogSettings.DEFAULT);
    }

    @Test
    void eachJsonLineIsAnObjectThatParses() throws Exception {
        Logging.apply(new LogSettings(Format.JSON, Level.INFO), written);
        LOG.info("says \"this\"\nand {}", "that\u0000\u001b[31m ü €");
        try (LogScope _ = LogScope.of(SNAPSHOT, 3)) {
            LOG.error("it failed", new IllegalStateException("outer", new java.io.IOException("inner")));
        }
        List<JsonNode> lines = json();
        assertThat(lines).hasSize(2);
        JsonNode plain = lines.get(0);
        assertThat(Instant.parse(plain.path("time").asText()))
                .isBetween(Instant.now().minus(Duration.ofMinutes(1)), Instant.now());
        assertThat(plain.path("level").asText()).isEqualTo("INFO");
        assertThat(plain.path("logger").asText()).isEqualTo(LogLinesTest.class.getName());
        assertThat(plain.path("thread").asText())
                .isEqualTo(Thread.currentThread().getName());
        assertThat(plain.path("message").asText()).isEqualTo("says \"this\"\nand that\u0000\u001b[31m ü €");
        assertThat(plain.propertyStream().map(java.util.Map.Entry::getKey))
                .containsExactly("time", "level", "logger", "thread", "message");
        JsonNode about = lines.get(1);
        assertThat(about.path("kind").asText()).isEqualTo("VMSnapshot");
        assertThat(about.path("namespace").asText()).isEqualTo("vms");
        assertThat(about.path("name").asText()).isEqualTo("web-saved");
        assertThat(about.path("uid").asText()).isEqualTo("u-1");
        assertThat(about.path("attempt").asText()).isEqualTo("3");
        assertThat(about.path("stackTrace").asText())
                .contains("IllegalStateException: outer", "Caused by: java.io.IOException: inner", "\tat ");
    }

    @Test
    void aTextLineNamesTheObjectAndCannotBeForged() {
        Logging.apply(new LogSettings(Format.TEXT, Level.INFO), written);
        try (LogScope _ = LogScope.of(SNAPSHOT, 1)) {
            LOG.warn("QEMU says: {}", "no\n2026-01-01T00:00:00Z INFO  [main] Forged - \u001b[2J");
        }
        LOG.info("of nothing");
        List<String> lines = text();
        assertThat(lines).hasSize(2);
        assertThat(lines.get(0))
                .matches(
                        "\\S+Z WARN  \\[[^]]+] LogLinesTest \\[VMSnapshot vms/web-saved uid u-1 attempt 1] - QEMU says: "
                                + "no\\\\n2026-01-01T00:00:00Z INFO  \\[main] Forged - \\?\\[2J");
        assertThat(lines.get(1)).matches("\\S+Z INFO  \\[[^]]+] LogLinesTest - of nothing");
    }

    @Test
    void theLevelIsOursAndLibrariesNeverTellEverything() {
        Logging.apply(new LogSettings(Format.TEXT, Level.DEBUG), written);
        LOG.debug("protocol");
        OF_A_LIBRARY.debug("a Secret, whole");
        OF_A_LIBRARY.info("connected");
        Logging.apply(new LogSettings(Format.TEXT, Level.ERROR), written);
        LOG.warn("odd");
        OF_A_LIBRARY.warn("odd too");
        assertThat(text()).hasSize(2).first().asString().endsWith("protocol");
        assertThat(text().getLast()).endsWith("connected");
    }

    @Test
    void scopesNestAndPutBackWhatWasThere() {
        MDC.put("other", "stays");
        try (LogScope _ = LogScope.of(new ObjectRef("VM", "vms", "web", Optional.empty()), 1)) {
            try (LogScope _ = LogScope.uid("u-2")) {
                assertThat(Identity.of(MDC.getCopyOfContextMap()))
                        .containsEntry("uid", "u-2")
                        .containsEntry("kind", "VM");
            }
            assertThat(Identity.of(MDC.getCopyOfContextMap()))
                    .doesNotContainKey("uid")
                    .containsEntry("name", "web");
            try (LogScope _ = LogScope.of(SNAPSHOT, 2)) {
                assertThat(MDC.get("kind")).isEqualTo("VMSnapshot");
            }
            assertThat(MDC.get("kind")).isEqualTo("VM");
        }
        assertThat(MDC.getCopyOfContextMap()).containsOnlyKeys("other");
    }

    @Test
    void anIdentityIsHandedToATaskOfAnotherThreadAndTakenBack() throws Exception {
        List<String> seen = new ArrayList<>();
        Runnable task;
        try (LogScope _ = LogScope.of(SNAPSHOT, 1)) {
            task = LogScope.carry(() -> seen.add(MDC.get("name")));
        }
        CompletableFuture.runAsync(() -> {
                    task.run();
                    seen.add(String.valueOf(MDC.get("name")));
                })
                .get();
        assertThat(seen).containsExactly("web-saved", "null");
    }

    @Test
    void whatTheFrameworkSaysOfAnObjectIsTakenWhereWeSayNothing() {
        assertThat(Identity.of(java.util.Map.of("resource.kind", "VMRestore", "resource.name", "r", "colour", "red")))
                .isEqualTo(java.util.Map.of("kind", "VMRestore", "name", "r"));
    }

    private List<String> text() {
        return written.toString(StandardCharsets.UTF_8).lines().toList();
    }

    private List<JsonNode> json() throws Exception {
        List<JsonNode> lines = new ArrayList<>();
        for (String line : text()) {
            lines.add(new ObjectMapper().readTree(line));
        }
        return lines;
    }
}
