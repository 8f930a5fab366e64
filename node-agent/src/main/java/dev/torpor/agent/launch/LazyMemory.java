package dev.torpor.agent.launch;

import dev.torpor.agent.image.RamBlock;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Which of a command's words make the guest's RAM, and what they become when it is mapped from an image. Backends that are
 * named are replaced, as QEMU refuses a second object of one id; RAM that has none gets one.
 */
final class LazyMemory {
    private static final long RAM_BYTES_MIN = 1 << 20;
    // An image's names come from a QEMU that is not trusted, and go to a command line: an id of QEMU's, nothing else.
    private static final Pattern ID = Pattern.compile("[A-Za-z][-._A-Za-z0-9]{0,127}");

    private final List<String> argv;
    private final QemuOptions options;
    private final LazyStart.Image image;

    LazyMemory(List<String> argv, QemuOptions options, LazyStart.Image image) {
        this.argv = argv;
        this.options = options;
        this.image = image;
    }

    LazyStart plan() {
        Map<String, MemoryBackend> backends = new LinkedHashMap<>();
        for (QemuOptions.Option option : options.all("object")) {
            Optional<Properties> object = Properties.parse(option.value(), MemoryBackend.TYPE_KEY);
            if (object.isEmpty()) {
                return not("-object " + LazyRules.shown(option.value()) + " is not understood");
            }
            Optional<MemoryBackend> backend = MemoryBackend.of(option.at(), object.get());
            if (backend.isPresent() && backends.put(backend.get().id(), backend.get()) != null) {
                return not("two memory backends have the id '" + backend.get().id() + "'");
            }
        }
        Set<String> used = new HashSet<>(machineBackends());
        if (used.size() > 1) {
            return not("-machine names several memory backends");
        }
        for (QemuOptions.Option option : options.all("numa")) {
            Optional<Properties> numa = Properties.parse(option.value(), "type");
            if (numa.isEmpty() || numa.get().get("mem").isPresent()) {
                return not("-numa " + LazyRules.shown(option.value()) + " names no memory backend (memdev)");
            }
            numa.get().get("memdev").ifPresent(used::add);
        }
        return used.isEmpty() && backends.isEmpty() ? defaultRam() : namedRam(used, backends);
    }

    /** No backend is named: the machine makes one block of RAM, which is given a backend of the same name. */
    private LazyStart defaultRam() {
        if (options.all("numa").stream().anyMatch(option -> option.value().startsWith("node"))) {
            return not("-numa divides memory that has no backend (memdev)");
        }
        List<RamBlock> ram = image.layout().blocks().stream()
                .filter(block -> block.usedBytes() == image.header().vm().memoryBytes())
                .toList();
        if (ram.size() != 1 || !isMappable(ram.getFirst())) {
            return not("the guest's RAM is not one block of the image");
        }
        RamBlock block = ram.getFirst();
        List<String> command = new ArrayList<>(argv);
        // A second -machine adds to the first.
        command.addAll(List.of("-machine", "memory-backend=" + block.name(), "-object", mapped(block, "")));
        return new LazyStart.Possible(command, Set.of(block.name()));
    }

    private LazyStart namedRam(Set<String> used, Map<String, MemoryBackend> backends) {
        for (String id : used) {
            if (!backends.containsKey(id)) {
                return not("memory backend " + id + " is not named by -object");
            }
        }
        List<String> command = new ArrayList<>(argv);
        for (MemoryBackend backend : backends.values()) {
            String id = backend.id();
            if (!used.contains(id)) {
                return not("memory backend " + id + " is not the RAM of the machine or of a NUMA node");
            }
            Optional<RamBlock> block = image.layout().blocks().stream()
                    .filter(candidate -> candidate.name().equals(id))
                    .findFirst();
            if (block.isEmpty() || !isMappable(block.get())) {
                return not("memory backend " + id + " is not a RAM block of the image");
            }
            Optional<String> objection = backend.objection(block.get().usedBytes());
            if (objection.isPresent()) {
                return not(objection.get());
            }
            command.set(backend.at() + 1, mapped(block.get(), backend.kept()));
        }
        return new LazyStart.Possible(command, used);
    }

    private static LazyStart not(String why) {
        return new LazyStart.NotPossible(why);
    }

    private boolean isMappable(RamBlock block) {
        return ID.matcher(block.name()).matches()
                && block.usedBytes() >= RAM_BYTES_MIN
                && block.pages().lengthBytes() == block.usedBytes();
    }

    // readonly is of the file, rom of the memory; align has the guest's 2 MiB pages lie on those of the file.
    private String mapped(RamBlock block, String more) {
        return "memory-backend-file,id=" + block.name() + ",size=" + block.usedBytes() + ",mem-path="
                + LazyStart.pathInPod(image.header().id()) + ",offset="
                + block.pages().offsetBytes()
                + ",align=2M,share=off,readonly=on,rom=off" + more;
    }

    private Set<String> machineBackends() {
        Set<String> ids = new HashSet<>();
        for (String name : LazyRules.MACHINE) {
            for (QemuOptions.Option option : options.all(name)) {
                Properties.parse(option.value(), "type")
                        .flatMap(machine -> machine.get("memory-backend"))
                        .ifPresent(ids::add);
            }
        }
        return ids;
    }
}
