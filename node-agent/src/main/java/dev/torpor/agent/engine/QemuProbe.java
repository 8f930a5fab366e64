package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Asks a QEMU what it is and what it can do. Choices are made by what it says it has, never by its version number. */
public final class QemuProbe {
    private static final String MACHINE_SUFFIX = "-machine";
    // "  pc.ram    4 KiB  0x0… 0x0000000010000000 …  rw": name, page size, offset, used length, rest (QEMU 7.2 to 11).
    private static final Pattern RAM_BLOCK =
            Pattern.compile("^\\s*(\\S+)\\s+\\S+ \\S+\\s+0x[0-9a-f]+\\s+0x([0-9a-f]+)\\s+0x[0-9a-f]+(.*)$");
    private static final Pattern CHILD = Pattern.compile("^child<(.+)>$");

    private QemuProbe() {}

    /**
     * Probes.
     *
     * @throws TorporException QMPTimeout, QEMUGone, NotQEMU, or QMPCommandFailed if a question that every QEMU since 4.0
     *     answers is refused
     */
    public static VmFacts probe(QmpClient qmp) throws TorporException {
        return new VmFacts(
                definition(qmp),
                names(qmp.execute("query-migrate-capabilities"), "capability"),
                fieldNames(qmp.execute("query-migrate-parameters")),
                Guest.runState(qmp),
                blockedReasons(qmp),
                descriptorsLeft(qmp));
    }

    /** Returns QEMU's sentences on why the VM cannot be saved. Worth asking again after {@code stop}. */
    public static List<String> blockedReasons(QmpClient qmp) throws TorporException {
        List<String> reasons = new ArrayList<>();
        qmp.execute("query-migrate").path("blocked-reasons").forEach(reason -> reasons.add(reason.asText()));
        return reasons;
    }

    private static VmDefinition definition(QmpClient qmp) throws TorporException {
        JsonNode memory = qmp.execute("query-memory-size-summary");
        JsonNode cpus = qmp.execute("query-cpus-fast");
        String cpu = cpus.path(0).path("qom-path").asText();
        String machine = property(qmp, "/machine", "type").asText();
        return new VmDefinition(
                qmp.version(),
                machine.endsWith(MACHINE_SUFFIX)
                        ? machine.substring(0, machine.length() - MACHINE_SUFFIX.length())
                        : machine,
                cpus.size(),
                qmp.execute("query-uuid").path("UUID").asText(),
                property(qmp, cpu, "type").asText(),
                qmp.execute("query-kvm").path("enabled").asBoolean() ? "kvm" : "tcg",
                devices(qmp),
                ramBlocks(qmp),
                memory.path("base-memory").asLong()
                        + memory.path("plugged-memory").asLong(),
                cpuFeatures(qmp, cpu));
    }

    /**
     * What the guest of this very machine sees of its first CPU, host models and options included, which the expansion of a
     * CPU model's name does not tell (property of x86 CPUs, target/i386/cpu.c, X86CPUFeatureWordInfo; QEMU 7.2 to 11).
     * All CPUs of a machine have the same.
     */
    private static NavigableMap<String, Long> cpuFeatures(QmpClient qmp, String cpu) throws TorporException {
        NavigableMap<String, Long> words = new TreeMap<>();
        try {
            for (JsonNode word : property(qmp, cpu, "feature-words")) {
                String leaf = Long.toHexString(word.path("cpuid-input-eax").asLong());
                String subLeaf = word.has("cpuid-input-ecx")
                        ? "." + Long.toHexString(word.path("cpuid-input-ecx").asLong())
                        : "";
                words.put(
                        leaf + subLeaf + "." + word.path("cpuid-register").asText(),
                        word.path("features").asLong());
            }
        } catch (QmpCommandException e) {
            return new TreeMap<>(); // not an x86 CPU
        }
        return words;
    }

    /** Writable RAM blocks; ROMs are made anew by each QEMU, and may differ in size between builds. */
    private static NavigableMap<String, Long> ramBlocks(QmpClient qmp) throws TorporException {
        NavigableMap<String, Long> blocks = new TreeMap<>();
        String table = qmp.execute("human-monitor-command", Map.of("command-line", "info ramblock"))
                .asText();
        table.lines().forEach(line -> {
            Matcher row = RAM_BLOCK.matcher(line);
            if (row.matches()
                    && !row.group(3).strip().endsWith("ro")
                    && !row.group(1).startsWith("/rom@")) {
                blocks.put(row.group(1), Long.parseLong(row.group(2), 16));
            }
        });
        return blocks;
    }

    /** Devices that were added on the command line or plugged in, as {@code type@slot.function}; sorted. */
    private static List<String> devices(QmpClient qmp) throws TorporException {
        List<String> devices = new ArrayList<>();
        for (String container : List.of("/machine/peripheral", "/machine/peripheral-anon")) {
            for (JsonNode entry : qmp.execute("qom-list", Map.of("path", container))) {
                Matcher child = CHILD.matcher(entry.path("type").asText());
                if (child.matches()) {
                    String path = container + "/" + entry.path("name").asText();
                    devices.add(child.group(1) + pciAddress(qmp, path));
                }
            }
        }
        devices.sort(null);
        return devices;
    }

    private static String pciAddress(QmpClient qmp, String device) throws TorporException {
        try {
            int slotAndFunction = property(qmp, device, "addr").asInt();
            return "@%02x.%x".formatted(slotAndFunction >> 3, slotAndFunction & 7);
        } catch (QmpCommandException e) {
            return ""; // not a PCI device
        }
    }

    private static JsonNode property(QmpClient qmp, String path, String name) throws TorporException {
        return qmp.execute("qom-get", Map.of("path", path, "property", name));
    }

    private static OptionalLong descriptorsLeft(QmpClient qmp) throws TorporException {
        int pid = qmp.peer().pid();
        if (pid == 0) {
            return OptionalLong.empty();
        }
        try {
            return OptionalLong.of(Proc.openFilesLimit(pid) - Proc.openFiles(pid));
        } catch (IOException e) {
            return OptionalLong.empty(); // another user's process, or it has just ended: the next command tells
        }
    }

    private static Set<String> names(JsonNode list, String field) {
        Set<String> names = new LinkedHashSet<>();
        list.forEach(entry -> names.add(entry.path(field).asText()));
        return names;
    }

    private static Set<String> fieldNames(JsonNode object) {
        Set<String> names = new LinkedHashSet<>();
        object.fieldNames().forEachRemaining(names::add);
        return names;
    }
}
