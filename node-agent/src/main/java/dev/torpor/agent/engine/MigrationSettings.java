package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * QEMU's migration capabilities and parameters as they were, so that they can be put back: the VM's owner may have set
 * them for migrations of their own.
 */
final class MigrationSettings {
    // All that we ever set. multifd-compression beside mapped-ram is accepted and ignored: left alone.
    private static final Set<String> PARAMETERS =
            Set.of("multifd-channels", "direct-io", "max-bandwidth", "zero-page-detection");

    private final Map<String, Boolean> capabilities = new LinkedHashMap<>();
    private final Map<String, Object> parameters = new LinkedHashMap<>();

    private MigrationSettings() {}

    /** Reads the settings in force. */
    static MigrationSettings read(QmpClient qmp) throws TorporException {
        MigrationSettings settings = new MigrationSettings();
        for (JsonNode entry : qmp.execute("query-migrate-capabilities")) {
            settings.capabilities.put(
                    entry.path("capability").asText(), entry.path("state").asBoolean());
        }
        JsonNode parameters = qmp.execute("query-migrate-parameters");
        for (String name : PARAMETERS) {
            if (parameters.has(name)) {
                settings.parameters.put(name, parameters.get(name));
            }
        }
        return settings;
    }

    boolean hasParameter(String name) {
        return parameters.containsKey(name);
    }

    /** Turns on exactly these capabilities and turns off every other that is on. */
    void enableOnly(QmpClient qmp, Set<String> wanted) throws TorporException {
        Map<String, Boolean> states = new LinkedHashMap<>();
        capabilities.forEach((name, state) -> {
            if (state != wanted.contains(name)) {
                states.put(name, !state);
            }
        });
        setCapabilities(qmp, states);
    }

    /** Puts back what {@link #read} found. */
    void restore(QmpClient qmp) throws TorporException {
        Map<String, Boolean> changed = new LinkedHashMap<>();
        for (JsonNode entry : qmp.execute("query-migrate-capabilities")) {
            String name = entry.path("capability").asText();
            boolean before = capabilities.getOrDefault(name, false);
            if (entry.path("state").asBoolean() != before) {
                changed.put(name, before);
            }
        }
        setCapabilities(qmp, changed);
        qmp.execute("migrate-set-parameters", parameters);
    }

    private static void setCapabilities(QmpClient qmp, Map<String, Boolean> states) throws TorporException {
        if (states.isEmpty()) {
            return;
        }
        List<Map<String, Object>> list = new ArrayList<>();
        states.forEach((name, state) -> list.add(Map.of("capability", name, "state", state)));
        qmp.execute("migrate-set-capabilities", Map.of("capabilities", list));
    }
}
