package dev.torpor.agent.engine;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.failure.TorporException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * QEMU's migration capabilities and parameters as they were, so that they can be put back: the VM's owner may have set
 * them for migrations of their own. Nobody else can do anything with it.
 */
public final class MigrationSettings {
    // All that we ever set.
    private static final Set<String> PARAMETERS = Set.of(
            "multifd-channels",
            "direct-io",
            "max-bandwidth",
            "zero-page-detection",
            "multifd-compression",
            "multifd-zlib-level",
            "multifd-zstd-level");

    private static final ObjectMapper JSON = new ObjectMapper();
    static final QmpCommand QUERY_CAPABILITIES = QmpCommand.of("query-migrate-capabilities");
    static final QmpCommand QUERY_PARAMETERS = QmpCommand.of("query-migrate-parameters");
    private static final List<QmpCommand> QUESTIONS = List.of(QUERY_CAPABILITIES, QUERY_PARAMETERS);

    private final Map<String, Boolean> capabilities = new LinkedHashMap<>();
    private final Map<String, Object> parameters = new LinkedHashMap<>();

    private MigrationSettings() {}

    /** Reads the settings in force. */
    static MigrationSettings read(QmpClient qmp) throws TorporException {
        return of(Answers.to(qmp, QUESTIONS));
    }

    /** Takes them from what QEMU said to {@link #QUESTIONS}. */
    static MigrationSettings of(Answers answers) throws TorporException {
        MigrationSettings settings = new MigrationSettings();
        for (JsonNode entry : answers.to(QUERY_CAPABILITIES)) {
            settings.capabilities.put(
                    entry.path("capability").asText(), entry.path("state").asBoolean());
        }
        JsonNode parameters = answers.to(QUERY_PARAMETERS);
        for (String name : PARAMETERS) {
            if (parameters.has(name)) {
                settings.parameters.put(name, parameters.get(name));
            }
        }
        return settings;
    }

    /** Returns the settings as a text for {@link #fromNote}. */
    String note() {
        return note(PARAMETERS);
    }

    /**
     * Returns the same.
     *
     * @param changed the parameters that will be changed: others need not be put back
     */
    String note(Set<String> changed) {
        ObjectNode note = JSON.createObjectNode();
        // Those that are on, as all others are off: QEMU reads its monitor byte by byte, so words cost time.
        ObjectNode on = note.putObject("capabilities");
        capabilities.forEach((name, state) -> {
            if (state) {
                on.put(name, true);
            }
        });
        Map<String, Object> before = new LinkedHashMap<>(parameters);
        before.keySet().retainAll(changed);
        note.set("parameters", JSON.valueToTree(before));
        return note.toString();
    }

    /**
     * Reads what {@link #note} wrote; empty if it is anything else. It comes back from QEMU and goes nowhere else, so a
     * QEMU that changes it harms itself alone.
     */
    static Optional<MigrationSettings> fromNote(String note) {
        try {
            JsonNode tree = JSON.readTree(note);
            MigrationSettings settings = new MigrationSettings();
            tree.path("capabilities")
                    .properties()
                    .forEach(entry -> settings.capabilities.put(
                            entry.getKey(), entry.getValue().asBoolean()));
            for (String name : PARAMETERS) {
                if (tree.path("parameters").has(name)) {
                    settings.parameters.put(name, tree.path("parameters").get(name));
                }
            }
            return tree.has("capabilities") ? Optional.of(settings) : Optional.empty();
        } catch (JsonProcessingException e) {
            return Optional.empty();
        }
    }

    boolean hasParameter(String name) {
        return parameters.containsKey(name);
    }

    /** Tells whether a parameter has this value, or is none of this QEMU's. */
    boolean isSet(String name, String value) {
        return !(parameters.get(name) instanceof JsonNode now) || now.asText().equals(value);
    }

    boolean hasCapability(String name) {
        return capabilities.containsKey(name);
    }

    /** Tells whether a capability is this QEMU's and on. */
    boolean isOn(String capability) {
        return capabilities.getOrDefault(capability, false);
    }

    /** Turns on exactly these capabilities and turns off every other that is on. */
    void enableOnly(QmpClient qmp, Set<String> wanted) throws TorporException {
        execute(qmp, enablingOnly(wanted));
    }

    /** Returns the command for {@link #enableOnly}; empty if all is as it should be. */
    Optional<QmpCommand> enablingOnly(Set<String> wanted) {
        Map<String, Boolean> states = new LinkedHashMap<>();
        capabilities.forEach((name, state) -> {
            if (state != wanted.contains(name)) {
                states.put(name, !state);
            }
        });
        return setting(states);
    }

    /** Puts back what {@link #read} found. */
    void restore(QmpClient qmp) throws TorporException {
        Map<String, Boolean> off = new LinkedHashMap<>();
        Map<String, Boolean> on = new LinkedHashMap<>();
        for (JsonNode entry : qmp.execute("query-migrate-capabilities")) {
            String name = entry.path("capability").asText();
            boolean before = capabilities.getOrDefault(name, false);
            if (entry.path("state").asBoolean() != before) {
                (before ? on : off).put(name, before);
            }
        }
        // QEMU 10 takes no parameter while mapped-ram is on and something is compressed: neither ours, then, nor
        // theirs.
        execute(qmp, setting(off));
        if (!parameters.isEmpty()) {
            qmp.execute("migrate-set-parameters", parameters);
        }
        execute(qmp, setting(on));
    }

    private static void execute(QmpClient qmp, Optional<QmpCommand> command) throws TorporException {
        if (command.isPresent()) {
            qmp.execute(command.get());
        }
    }

    private static Optional<QmpCommand> setting(Map<String, Boolean> states) {
        if (states.isEmpty()) {
            return Optional.empty();
        }
        List<Map<String, Object>> list = new ArrayList<>();
        states.forEach((name, state) -> list.add(Map.of("capability", name, "state", state)));
        return Optional.of(new QmpCommand("migrate-set-capabilities", Map.of("capabilities", list)));
    }
}
