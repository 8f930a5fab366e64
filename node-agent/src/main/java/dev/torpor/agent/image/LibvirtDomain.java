package dev.torpor.agent.image;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.StringReader;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import javax.xml.stream.XMLInputFactory;
import javax.xml.stream.XMLStreamConstants;
import javax.xml.stream.XMLStreamException;
import javax.xml.stream.XMLStreamReader;

/**
 * What a domain's definition tells that can be compared with a QEMU (libvirt, docs/formatdomain.rst). It is somebody's text:
 * no document type is read, no entity is looked up, and the caller bounds its length.
 *
 * @param name of the domain
 * @param uuid of the machine, in QEMU's spelling
 * @param accelerator in QEMU's word: {@code kvm} or {@code tcg}
 * @param machineType versioned, as libvirt wrote it down when the domain was started
 * @param vcpus those that are plugged in
 * @param memoryBytes all of the guest's RAM, that of memory devices too
 * @param pciFunctions slot and function of each device on a PCI bus, as {@code @02.0}; of which bus is left out
 */
public record LibvirtDomain(
        String name,
        String uuid,
        String accelerator,
        String machineType,
        int vcpus,
        long memoryBytes,
        List<String> pciFunctions) {
    private static final int DEPTH_MAX = 64;
    private static final int VCPUS_MAX = 4096;
    private static final long MEMORY_BYTES_MAX = 1L << 56;
    private static final int PCI_FUNCTIONS_MAX = 4096;
    private static final long KIB = 1024;
    private static final Map<String, Long> UNITS = Map.ofEntries(
            Map.entry("b", 1L),
            Map.entry("bytes", 1L),
            Map.entry("KB", 1000L),
            Map.entry("k", KIB),
            Map.entry("KiB", KIB),
            Map.entry("MB", 1_000_000L),
            Map.entry("M", 1L << 20),
            Map.entry("MiB", 1L << 20),
            Map.entry("GB", 1_000_000_000L),
            Map.entry("G", 1L << 30),
            Map.entry("GiB", 1L << 30),
            Map.entry("TB", 1_000_000_000_000L),
            Map.entry("T", 1L << 40),
            Map.entry("TiB", 1L << 40));

    public LibvirtDomain {
        pciFunctions = List.copyOf(pciFunctions);
    }

    /**
     * Reads a definition.
     *
     * @throws TorporException ImageDamaged if it is not one, or lacks what is compared
     */
    public static LibvirtDomain parse(String xml) throws TorporException {
        XMLInputFactory factory = XMLInputFactory.newDefaultFactory();
        factory.setProperty(XMLInputFactory.SUPPORT_DTD, false);
        factory.setProperty(XMLInputFactory.IS_SUPPORTING_EXTERNAL_ENTITIES, false);
        factory.setProperty(XMLInputFactory.IS_NAMESPACE_AWARE, false);
        factory.setXMLResolver((_, _, _, _) -> {
            throw new XMLStreamException("it refers to something outside of it");
        });
        try {
            XMLStreamReader reader = factory.createXMLStreamReader(new StringReader(xml));
            try {
                return new Parser(reader).parse();
            } finally {
                reader.close();
            }
        } catch (XMLStreamException | NumberFormatException e) {
            String why = String.valueOf(e.getMessage()).replaceAll("\\s+", " ");
            throw damaged(why.length() > 200 ? why.substring(0, 200) : why);
        }
    }

    private static TorporException damaged(String why) {
        return new TorporException(FailureReason.ImageDamaged, "the domain's definition cannot be read: " + why);
    }

    private static final class Parser {
        private final XMLStreamReader in;
        private final Map<String, String> texts = new HashMap<>();
        private final Map<String, String> attributes = new HashMap<>();
        private final List<String> functions = new ArrayList<>();

        Parser(XMLStreamReader in) {
            this.in = in;
        }

        LibvirtDomain parse() throws XMLStreamException, TorporException {
            Deque<String> path = new ArrayDeque<>();
            StringBuilder text = new StringBuilder();
            while (in.hasNext()) {
                switch (in.next()) {
                    case XMLStreamConstants.START_ELEMENT -> {
                        if (path.size() == DEPTH_MAX) {
                            throw new XMLStreamException("it is nested deeper than " + DEPTH_MAX);
                        }
                        String parent = path.isEmpty() ? "" : path.peek() + "/";
                        path.push(parent + in.getLocalName());
                        text.setLength(0);
                        begin(String.valueOf(path.peek()));
                    }
                    case XMLStreamConstants.CHARACTERS, XMLStreamConstants.CDATA -> text.append(in.getText());
                    case XMLStreamConstants.END_ELEMENT -> {
                        texts.putIfAbsent(path.pop(), text.toString().strip());
                        text.setLength(0);
                    }
                    case XMLStreamConstants.DTD, XMLStreamConstants.ENTITY_REFERENCE ->
                        throw new XMLStreamException("it has a document type or entities of its own");
                    default -> {}
                }
            }
            return domain();
        }

        private void begin(String path) throws XMLStreamException {
            switch (path) {
                case "domain" -> attribute("domain", "type");
                case "domain/memory" -> attribute(path, "unit");
                case "domain/vcpu" -> attribute(path, "current");
                case "domain/os/type" -> attribute(path, "machine");
                default -> {
                    if (path.startsWith("domain/devices/")
                            && path.endsWith("/address")
                            && "pci".equals(in.getAttributeValue(null, "type"))) {
                        if (functions.size() == PCI_FUNCTIONS_MAX) {
                            throw new XMLStreamException("it has more than " + PCI_FUNCTIONS_MAX + " PCI devices");
                        }
                        functions.add("@%02x.%x".formatted(hex("slot"), hex("function")));
                    }
                }
            }
        }

        private void attribute(String path, String name) {
            Optional.ofNullable(in.getAttributeValue(null, name))
                    .ifPresent(value -> attributes.putIfAbsent(path + "@" + name, value));
        }

        private int hex(String name) throws XMLStreamException {
            String value = in.getAttributeValue(null, name);
            if (value == null) {
                throw new XMLStreamException("the address of a PCI device has no " + name);
            }
            return Integer.decode(value);
        }

        private LibvirtDomain domain() throws TorporException {
            String type = attributes.getOrDefault("domain@type", "");
            String accelerator =
                    switch (type) {
                        case "kvm" -> "kvm";
                        case "qemu" -> "tcg";
                        default -> throw damaged("its type is '" + type + "', and not kvm or qemu");
                    };
            String vcpus = attributes.getOrDefault("domain/vcpu@current", texts.getOrDefault("domain/vcpu", ""));
            String unit = attributes.getOrDefault("domain/memory@unit", "KiB");
            Long unitBytes = UNITS.get(unit);
            if (unitBytes == null) {
                throw damaged("the unit of its memory is '" + unit + "'");
            }
            long memory = number("memory", text("domain/memory"), MEMORY_BYTES_MAX / unitBytes) * unitBytes;
            return new LibvirtDomain(
                    text("domain/name"),
                    text("domain/uuid"),
                    accelerator,
                    required("machine type", attributes.getOrDefault("domain/os/type@machine", "")),
                    (int) number("number of vCPUs", vcpus, VCPUS_MAX),
                    memory,
                    functions);
        }

        private String text(String path) throws TorporException {
            return required(path.substring(path.indexOf('/') + 1), texts.getOrDefault(path, ""));
        }

        private static String required(String what, String value) throws TorporException {
            if (value.isEmpty() || value.length() > 255 || value.chars().anyMatch(c -> c < ' ' || c == 0x7F)) {
                throw damaged("it has no " + what + ", or none that can be one");
            }
            return value;
        }

        private static long number(String what, String digits, long max) throws TorporException {
            long value = digits.matches("[0-9]{1,18}") ? Long.parseLong(digits) : 0;
            if (value < 1 || value > max) {
                throw damaged("its " + what + " is not a number from 1 to " + max);
            }
            return value;
        }
    }
}
