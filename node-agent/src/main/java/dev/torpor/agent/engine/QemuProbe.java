package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** Asks a QEMU what it is and what it can do. Choices are made by what it says it has, never by its version number. */
public final class QemuProbe {
    private static final String MACHINE_SUFFIX = "-machine";
    // "  pc.ram    4 KiB  0x0… 0x0000000010000000 …  rw": name, page size, offset, used length, rest (QEMU 4.2 to 11;
    // which blocks are read-only 8.2 says, and 7.2 does not).
    private static final Pattern RAM_BLOCK =
            Pattern.compile("^\\s*(\\S+)\\s+\\S+ \\S+\\s+0x[0-9a-f]+\\s+0x([0-9a-f]+)\\s+0x[0-9a-f]+(.*)$");
    /** 64 TiB: more than any guest has. */
    private static final long MEMORY_BYTES_MAX = 1L << 46;

    private static final int DIGITS_MAX = 16;
    private static final Pattern ROM = Pattern.compile("/rom@.*|pc\\.bios|.*\\.rom");
    private static final Pattern CHILD = Pattern.compile("^child<(.+)>$");
    private static final String NO_MIGRATION = "none";
    private static final String TYPE = "type";
    private static final String FEATURES = "feature-words";

    private static final QmpCommand MEMORY = QmpCommand.of("query-memory-size-summary");
    private static final QmpCommand CPUS = QmpCommand.of("query-cpus-fast");
    /** Where the first CPU is, in all likelihood: asked before QEMU has said so. */
    private static final String FIRST_CPU = "/machine/unattached/device[0]";

    private static final QmpCommand MACHINE = QmpCommand.property("/machine", "type");
    private static final QmpCommand UUID = QmpCommand.of("query-uuid");
    private static final QmpCommand KVM = QmpCommand.of("query-kvm");
    private static final QmpCommand RAM =
            new QmpCommand("human-monitor-command", Map.of("command-line", "info ramblock"));
    private static final QmpCommand CAPABILITIES = MigrationSettings.QUERY_CAPABILITIES;
    private static final QmpCommand PARAMETERS = MigrationSettings.QUERY_PARAMETERS;
    private static final QmpCommand STATUS = QmpCommand.of("query-status");
    private static final QmpCommand MIGRATION = QmpCommand.of("query-migrate");
    private static final Map<String, QmpCommand> CONTAINERS = containers();

    private final QmpClient qmp;
    private @Nullable Answers first;
    private OptionalLong descriptorsLeft = OptionalLong.empty();

    private QemuProbe(QmpClient qmp) {
        this.qmp = qmp;
    }

    /**
     * Probes: asks all that can be asked at once, then what the answers name.
     *
     * @throws TorporException QMPTimeout, QEMUGone, NotQEMU, or QMPCommandFailed if a question that every QEMU since 4.0
     *     answers is refused
     */
    public static VmFacts probe(QmpClient qmp) throws TorporException {
        return new QemuProbe(qmp).facts(List.of());
    }

    /**
     * Probes a QEMU that is to be resumed, and what it has mapped.
     *
     * @param layout of the image
     * @param path of the image, as QEMU's command line names it
     * @throws TorporException the same; LoadFailed if a block is mapped from that file otherwise than privately and from its
     *     place
     */
    public static ResumeTarget target(QmpClient qmp, ImageLayout layout, String path) throws TorporException {
        QemuProbe probe = new QemuProbe(qmp);
        List<QmpCommand> more = new ArrayList<>(List.of(GuestMemory.QUESTION));
        more.addAll(MappedMemory.questions(layout));
        VmFacts facts = probe.facts(more);
        Answers answers = Objects.requireNonNull(probe.first);
        return new ResumeTarget(
                facts,
                Set.copyOf(MappedMemory.of(answers, layout, path)),
                Optional.of(MigrationSettings.of(answers)),
                GuestMemory.ifAny(answers));
    }

    private VmFacts facts(List<QmpCommand> more) throws TorporException {
        // Those of the caller first: QEMU reads on while it draws up its map.
        List<QmpCommand> questions = new ArrayList<>(more);
        questions.addAll(List.of(MEMORY, CPUS, MACHINE, UUID, KVM, RAM, CAPABILITIES, PARAMETERS, STATUS, MIGRATION));
        questions.addAll(CONTAINERS.values());
        questions.addAll(ofCpu(FIRST_CPU));
        first = Answers.to(qmp, questions, () -> descriptorsLeft = descriptorsLeft(qmp));
        Map<String, String> devices = devices(first);
        String cpu = first.to(CPUS).path(0).path("qom-path").asText();
        questions.clear();
        if (!cpu.equals(FIRST_CPU)) {
            questions.addAll(ofCpu(cpu));
        }
        devices.keySet().forEach(path -> questions.add(address(path)));
        Answers second = Answers.to(qmp, questions);
        Answers ofCpu = cpu.equals(FIRST_CPU) ? first : second;
        return new VmFacts(
                new VmDefinition(
                        qmp.version(),
                        machineType(first.to(MACHINE).asText()),
                        first.to(CPUS).size(),
                        first.to(UUID).path("UUID").asText(),
                        ofCpu.to(QmpCommand.property(cpu, TYPE)).asText(),
                        first.to(KVM).path("enabled").asBoolean() ? "kvm" : "tcg",
                        withAddresses(devices, second),
                        ramBlocks(first.to(RAM).asText()),
                        memoryBytes(first.to(MEMORY)),
                        cpuFeatures(ofCpu.ifAny(QmpCommand.property(cpu, FEATURES)))),
                names(first.to(CAPABILITIES), "capability"),
                fieldNames(first.to(PARAMETERS)),
                Guest.runState(first.to(STATUS)),
                first.to(MIGRATION).path("status").asText(NO_MIGRATION),
                blockedReasons(first.to(MIGRATION)),
                descriptorsLeft);
    }

    /** Returns QEMU's sentences on why the VM cannot be saved. Worth asking again after {@code stop}. */
    public static List<String> blockedReasons(QmpClient qmp) throws TorporException {
        return blockedReasons(qmp.execute(MIGRATION.name()));
    }

    private static List<String> blockedReasons(JsonNode migration) {
        List<String> reasons = new ArrayList<>();
        migration.path("blocked-reasons").forEach(reason -> reasons.add(reason.asText()));
        return reasons;
    }

    private static List<QmpCommand> ofCpu(String path) {
        return List.of(QmpCommand.property(path, TYPE), QmpCommand.property(path, FEATURES));
    }

    private static String machineType(String type) {
        return type.endsWith(MACHINE_SUFFIX) ? type.substring(0, type.length() - MACHINE_SUFFIX.length()) : type;
    }

    /**
     * What the guest of this very machine sees of its first CPU, host models and options included, which the expansion of a
     * CPU model's name does not tell (property of x86 CPUs, target/i386/cpu.c, X86CPUFeatureWordInfo; QEMU 7.2 to 11).
     * All CPUs of a machine have the same. Empty if it is not an x86 CPU.
     */
    private static NavigableMap<String, Long> cpuFeatures(Optional<JsonNode> featureWords) {
        NavigableMap<String, Long> words = new TreeMap<>();
        featureWords.ifPresent(list -> list.forEach(word -> {
            String leaf = Long.toHexString(word.path("cpuid-input-eax").asLong());
            String subLeaf = word.has("cpuid-input-ecx")
                    ? "." + Long.toHexString(word.path("cpuid-input-ecx").asLong())
                    : "";
            words.put(
                    leaf + subLeaf + "." + word.path("cpuid-register").asText(),
                    word.path("features").asLong());
        }));
        return words;
    }

    /**
     * Writable RAM blocks; ROMs are made anew by each QEMU, and may differ in size between builds. A QEMU that does not say which those are
     * names them so that they can be told (hw/i386/pc.c, hw/i386/x86.c, hw/pci/pci.c, hw/core/loader.c).
     */
    private static NavigableMap<String, Long> ramBlocks(String table) throws TorporException {
        NavigableMap<String, Long> blocks = new TreeMap<>();
        for (String line : table.lines().toList()) {
            Matcher row = RAM_BLOCK.matcher(line);
            if (row.matches() && !row.group(3).strip().endsWith("ro") && !isRom(row.group(1))) {
                blocks.put(row.group(1), bytes(row.group(2)));
            }
        }
        return blocks;
    }

    /** Tells whether a RAM block is called as QEMU calls ROMs. */
    static boolean isRom(String block) {
        return ROM.matcher(block).matches();
    }

    private static long memoryBytes(JsonNode summary) throws TorporException {
        long base = summary.path("base-memory").asLong();
        long plugged = summary.path("plugged-memory").asLong();
        if (base < 0 || plugged < 0 || base > MEMORY_BYTES_MAX || plugged > MEMORY_BYTES_MAX) {
            throw new TorporException(
                    FailureReason.NotQEMU,
                    "what answers as QEMU says that its guest has " + base + " and " + plugged + " bytes of memory");
        }
        return base + plugged;
    }

    /** Whoever adds up sizes of blocks need not think of overflow: a message has room for less than 2^17 rows. */
    private static long bytes(String digits) throws TorporException {
        if (digits.length() <= DIGITS_MAX) {
            long bytes = Long.parseUnsignedLong(digits, 16);
            if (bytes >= 0 && bytes <= MEMORY_BYTES_MAX) {
                return bytes;
            }
        }
        throw new TorporException(
                FailureReason.NotQEMU, "what answers as QEMU says that a RAM block has 0x" + digits + " bytes");
    }

    private static Map<String, QmpCommand> containers() {
        Map<String, QmpCommand> questions = new LinkedHashMap<>();
        for (String path : List.of("/machine/peripheral", "/machine/peripheral-anon")) {
            questions.put(path, new QmpCommand("qom-list", Map.of("path", path)));
        }
        return questions;
    }

    /** Types of the devices that were added on the command line or plugged in, by their path. */
    private static Map<String, String> devices(Answers answers) throws QmpCommandException {
        Map<String, String> devices = new LinkedHashMap<>();
        for (Map.Entry<String, QmpCommand> container : CONTAINERS.entrySet()) {
            for (JsonNode entry : answers.to(container.getValue())) {
                Matcher child = CHILD.matcher(entry.path("type").asText());
                if (child.matches()) {
                    devices.put(container.getKey() + "/" + entry.path("name").asText(), child.group(1));
                }
            }
        }
        return devices;
    }

    /** Returns devices as {@code type@slot.function}, those that are not on PCI by their type alone; sorted. */
    private static List<String> withAddresses(Map<String, String> types, Answers answers) {
        List<String> devices = new ArrayList<>();
        types.forEach((path, type) -> devices.add(type
                + answers.ifAny(address(path))
                        .map(JsonNode::asInt)
                        .map(addr -> "@%02x.%x".formatted(addr >> 3, addr & 7))
                        .orElse("")));
        devices.sort(null);
        return devices;
    }

    private static QmpCommand address(String device) {
        return QmpCommand.property(device, "addr");
    }

    private static OptionalLong descriptorsLeft(QmpClient qmp) {
        try {
            int pid = qmp.peer().pid();
            if (pid == 0) {
                return OptionalLong.empty();
            }
            return OptionalLong.of(Proc.openFilesLimit(pid) - Proc.openFiles(pid));
        } catch (IOException | TorporException e) {
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
