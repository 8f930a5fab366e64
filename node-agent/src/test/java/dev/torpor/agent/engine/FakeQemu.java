package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.torpor.agent.qmp.FakeMonitor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Function;

/**
 * The part of QEMU that moves a VM's memory, as a monitor shows it: settings, sets of descriptors, one migration. It
 * records the commands and does as its switches say; it moves nothing.
 */
final class FakeQemu implements Function<String, String> {
    /** What becomes of a migration once it was begun. */
    enum Course {
        COMPLETES,
        FAILS,
        /** Stays active. */
        HANGS,
        /** Stays active for as long as there is a bandwidth limit. */
        COMPLETES_WITHOUT_LIMIT
    }

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final long RAM_BYTES = 1 << 20;

    /** Names of the commands, in order. */
    final List<String> commands = new CopyOnWriteArrayList<>();

    private final Map<String, JsonNode> arguments = new ConcurrentHashMap<>();
    /** QEMU's words for refusing a command, by its name. */
    final Map<String, String> refused = new ConcurrentHashMap<>();
    /** How many more commands of a name are taken before they are refused or hung up on. */
    final Map<String, Integer> spared = new ConcurrentHashMap<>();

    volatile boolean refusesOnce;
    volatile String hangsUpAt = "";
    volatile Course course = Course.COMPLETES;
    volatile String migration = "none";
    volatile String runState = "paused";

    /** Whether capabilities were changed between a save's "completed" and its channels' closing, which leaks them. */
    volatile boolean settingsTooEarly;

    private boolean saving;
    private int looks;
    private final Map<String, Boolean> capabilities = new TreeMap<>();
    private final ObjectNode parameters = JSON.createObjectNode();
    private final Map<Long, List<String>> fdSets = new TreeMap<>();

    FakeQemu() {
        List.of("auto-converge", "mapped-ram", "multifd", "xbzrle").forEach(name -> capabilities.put(name, false));
        parameters.put("multifd-channels", 2);
        parameters.put("max-bandwidth", 134_217_728L);
        parameters.put("direct-io", false);
        parameters.put("downtime-limit", 300);
    }

    /** Returns the arguments of the last command of this name. */
    JsonNode arguments(String command) {
        return Objects.requireNonNull(arguments.get(command), command);
    }

    synchronized void set(String capability, boolean state) {
        capabilities.put(capability, state);
    }

    synchronized void without(String parameter) {
        parameters.remove(parameter);
    }

    synchronized void addFdSet(long id, String opaque) {
        fdSets.computeIfAbsent(id, _ -> new ArrayList<>()).add(opaque);
    }

    synchronized List<Long> fdSets() {
        return List.copyOf(fdSets.keySet());
    }

    /** All that an owner of the VM could have set. */
    synchronized String settings() {
        return capabilities + " " + parameters;
    }

    synchronized JsonNode parameter(String name) {
        return parameters.path(name);
    }

    synchronized List<String> enabled() {
        return capabilities.entrySet().stream()
                .filter(Map.Entry::getValue)
                .map(Map.Entry::getKey)
                .toList();
    }

    @Override
    public synchronized String apply(String line) {
        try {
            JsonNode message = JSON.readTree(line);
            String command = message.path("execute").asText();
            commands.add(command);
            arguments.put(command, message.path("arguments"));
            ObjectNode answer = JSON.createObjectNode();
            answer.set("id", message.path("id"));
            boolean spare = spared.merge(command, -1, Integer::sum) >= 0;
            if (command.equals(hangsUpAt) && !spare) {
                return FakeMonitor.HANG_UP;
            }
            Optional<String> refusal = spare ? Optional.empty() : Optional.ofNullable(refused.get(command));
            if (refusal.isPresent()) {
                answer.putObject("error").put("class", "GenericError").put("desc", refusal.get());
                if (refusesOnce) {
                    refused.remove(command);
                }
            } else {
                answer.set("return", execute(command, message.path("arguments")));
            }
            return answer + "\n";
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private JsonNode execute(String command, JsonNode arguments) {
        switch (command) {
            case "query-migrate-capabilities" -> {
                ArrayNode list = JSON.createArrayNode();
                capabilities.forEach((name, state) ->
                        list.addObject().put("capability", name).put("state", state));
                return list;
            }
            case "query-migrate-parameters" -> {
                return parameters.deepCopy();
            }
            case "query-fdsets" -> {
                ArrayNode list = JSON.createArrayNode();
                fdSets.forEach((id, opaques) -> {
                    ArrayNode fds = list.addObject().put("fdset-id", id).putArray("fds");
                    opaques.forEach(opaque -> fds.addObject().put("opaque", opaque));
                });
                return list;
            }
            case "query-migrate" -> {
                return migration();
            }
            case "query-status" -> {
                if (saving && migration.equals("completed") && !runState.equals("running")) {
                    // QEMU's own words are the same for a while yet.
                    runState = looks++ == 0 ? runState : "postmigrate";
                }
                return JSON.createObjectNode().put("status", runState).put("running", runState.equals("running"));
            }
            case "migrate-set-capabilities" -> {
                settingsTooEarly |= saving && migration.equals("completed") && runState.equals("paused");
                arguments
                        .path("capabilities")
                        .forEach(entry -> capabilities.put(
                                entry.path("capability").asText(),
                                entry.path("state").asBoolean()));
            }
            case "migrate-set-parameters" -> parameters.setAll((ObjectNode) arguments);
            case "add-fd" -> {
                long next = fdSets.keySet().stream()
                                .mapToLong(Long::longValue)
                                .max()
                                .orElse(0)
                        + 1;
                long id = arguments.path("fdset-id").asLong(next);
                addFdSet(id, arguments.path("opaque").asText());
                return JSON.createObjectNode().put("fdset-id", id).put("fd", 20);
            }
            case "remove-fd" -> fdSets.remove(arguments.path("fdset-id").asLong());
            case "migrate" -> {
                migration = "setup";
                saving = true;
            }
            case "migrate-incoming" -> migration = "setup";
            default -> {
                // qmp_capabilities, and what a test should not see: it looks at the record
            }
        }
        return JSON.createObjectNode();
    }

    private JsonNode migration() {
        String now = migration;
        boolean limited = parameters.path("max-bandwidth").asLong() != 0;
        migration = switch (now) {
            case "setup" -> "active";
            case "active" ->
                switch (course) {
                    case COMPLETES -> "completed";
                    case FAILS -> "failed";
                    case HANGS -> "active";
                    case COMPLETES_WITHOUT_LIMIT -> limited ? "active" : "completed";
                };
            default -> now;
        };
        if (now.equals("none")) {
            return JSON.createObjectNode();
        }
        ObjectNode status = JSON.createObjectNode().put("status", now);
        if (now.equals("failed")) {
            status.put("error-desc", "Unable to write to file: No space left on device");
        }
        ObjectNode ram = JsonNodeFactory.instance.objectNode();
        ram.put("total", RAM_BYTES)
                .put("remaining", now.equals("completed") ? 0 : RAM_BYTES / 2)
                .put("normal", 200);
        return now.equals("setup") ? status : status.set("ram", ram);
    }
}
