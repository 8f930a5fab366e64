package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.LibvirtExample;
import dev.torpor.e2e.guest.Tick;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.w3c.dom.Document;
import org.w3c.dom.NodeList;
import org.xml.sax.InputSource;

/**
 * A VM that another manager started: a domain of a real libvirt, to which KubeVirt's hook has added a second monitor, is saved
 * and restored through that, and libvirt follows.
 */
@Tag("qemu")
@SuppressWarnings("NullAway.Init")
class OtherManagerIT {
    private static final String QEMU = "http://libvirt.org/schemas/domain/qemu/1.0";
    private static final String VMI = "{\"metadata\": {\"name\": \"web\", \"annotations\": {}}}";
    private static final String INCOMING_VMI =
            "{\"metadata\": {\"name\": \"web\", \"annotations\": {\"torpor.dev/incoming\": \"true\"}}}";

    @TempDir
    Path temp;

    private KubeVirtHook hook;
    private Optional<Virsh> virsh = Optional.empty();

    @BeforeEach
    void begin() throws IOException {
        hook = KubeVirtHook.copiedTo(temp);
    }

    @AfterEach
    void end() throws IOException {
        if (virsh.isPresent()) {
            String _ = virsh.get().run("destroy web");
            virsh.get().close();
        }
    }

    @Test
    void theHookAddsAMonitorAndNothingElse() throws Exception {
        Document plain = parse(hook.render(VMI, domain(), temp));
        assertThat(arguments(plain)).containsExactly("-qmp", "unix:" + temp + "/qmp.sock,server=on,wait=off");
        NodeList commandLines = plain.getElementsByTagNameNS(QEMU, "commandline");
        commandLines.item(0).getParentNode().removeChild(commandLines.item(0));
        assertThat(plain.getDocumentElement().getTextContent())
                .isEqualTo(parse(domain()).getDocumentElement().getTextContent());
        assertThat(plain.getElementsByTagName("*").getLength())
                .isEqualTo(parse(domain()).getElementsByTagName("*").getLength());
    }

    @Test
    void theHookHasItWaitForAnImageOnlyIfTheVmiSaysSo() throws Exception {
        assertThat(arguments(parse(hook.render(INCOMING_VMI, domain(), temp))))
                .containsExactly("-qmp", "unix:" + temp + "/qmp.sock,server=on,wait=off", "-incoming", "defer");
        assertThat(arguments(parse(hook.render(INCOMING_VMI.replace("true", "false"), domain(), temp))))
                .doesNotContain("-incoming");
    }

    @Test
    void theHookKeepsArgumentsThatAreThereAndAddsItsOwnOnce() throws Exception {
        String with = domain().replace("<domain ", "<domain xmlns:qemu='" + QEMU + "' ")
                .replace("</domain>", "<qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline></domain>");
        String once = hook.render(VMI, with, temp);
        assertThat(arguments(parse(once)))
                .containsExactly("-no-hpet", "-qmp", "unix:" + temp + "/qmp.sock,server=on,wait=off");
        assertThat(hook.render(VMI, once, temp).strip()).isEqualTo(once.strip());
    }

    /** KubeVirt marshals its domain itself: double quotes, tabs, no empty elements, the name space always there. */
    @Test
    void theHookTakesADomainAsKubeVirtWritesIt() throws Exception {
        String domain = """
                <domain type="kvm" xmlns:qemu="http://libvirt.org/schemas/domain/qemu/1.0">
                \t<name>vms_web</name>
                \t<memory unit="b">8388608</memory>
                \t<os>
                \t\t<type arch="x86_64" machine="q35">hvm</type>
                \t</os>
                \t<devices></devices>
                </domain>""";
        String vmi = "{\"metadata\":{\"name\":\"web\",\"annotations\":{\"torpor.dev/incoming\":\"true\"}}}";
        String once = hook.render(vmi, domain, temp);
        List<String> ours = List.of("-qmp", "unix:" + temp + "/qmp.sock,server=on,wait=off", "-incoming", "defer");
        assertThat(arguments(parse(once))).isEqualTo(ours);
        assertThat(once).startsWith(domain.substring(0, domain.indexOf("</domain>")));

        String with = domain.replace(
                "</domain>",
                "\t<qemu:commandline>\n\t\t<qemu:arg value=\"-fw_cfg\"></qemu:arg>\n\t</qemu:commandline>\n</domain>");
        List<String> all = new ArrayList<>(List.of("-fw_cfg"));
        all.addAll(ours);
        assertThat(arguments(parse(hook.render(vmi, with, temp)))).isEqualTo(all);
    }

    /** What a VMI says beside its annotations, a copy of them in quotes for example, is of no account. */
    @Test
    void theHookIsNotDeceivedByWhatIsQuoted() throws Exception {
        String vmi = "{\"metadata\":{\"annotations\":{\"last\":\"{\\\"torpor.dev/incoming\\\":\\\"true\\\"}\"},"
                + "\"managedFields\":[{\"fieldsV1\":{\"f:torpor.dev/incoming\":{}}}]}}";
        assertThat(arguments(parse(hook.render(vmi, domain(), temp)))).doesNotContain("-incoming");
    }

    @ParameterizedTest
    @CsvSource({"qemu-direct, none", "multifd-stream, none", "multifd-stream, zstd"})
    void aDomainOfLibvirtIsSavedAndRestoredAndLibvirtFollows(String engine, String compression) throws Exception {
        Virsh libvirt = new Virsh(temp.resolve("libvirt"));
        virsh = Optional.of(libvirt);
        start(libvirt, hook.render(VMI, domain(), temp));
        Tick before = awaitTick(tick -> tick.number() >= 2);

        AgentCommand.Result saved =
                agent("save", "--leave-paused", "--engine", engine, "--channels", "3", "--compression", compression);
        assertThat(saved.errors()).endsWith("; the VM is paused");
        assertThat(AgentCommand.run(temp, "image", "inspect", saved.output(), "--store", temp.resolve("store"))
                        .output())
                .contains(engine + ", 3 channels");
        assertThat(libvirt.awaitState("web", "paused")).isEqualTo("paused");
        try (QmpClient qmp = QmpClient.connect(temp.resolve("qmp.sock"), QmpLimits.DEFAULT)) {
            qmp.execute("quit"); // as the agent ends a VM that it has saved
        }
        assertThat(libvirt.awaitState("web", "shut off")).isEqualTo("shut off");
        Tick last = awaitTick(tick -> tick.nonce().equals(before.nonce()));

        start(libvirt, hook.render(INCOMING_VMI, domain(), temp));
        assertThat(libvirt.awaitState("web", "paused")).isEqualTo("paused");
        AgentCommand.Result restored = agent("restore", "--image", saved.output());
        assertThat(restored.errors()).endsWith("; the VM runs");
        assertThat(libvirt.awaitState("web", "running")).isEqualTo("running");
        Tick after = awaitTick(tick -> tick.number() > last.number() + 1);
        assertThat(after.nonce()).isEqualTo(before.nonce());
        assertThat(after.memoryWrong()).isFalse();

        assertThat(libvirt.run("suspend web")).contains("suspended");
        assertThat(status()).isEqualTo("paused");
        assertThat(libvirt.run("resume web")).contains("resumed");
        long now = lastTick().orElseThrow().number();
        assertThat(awaitTick(tick -> tick.number() > now).nonce()).isEqualTo(before.nonce());
        assertThat(libvirt.run("destroy web")).contains("destroyed");
        assertThat(libvirt.awaitState("web", "shut off")).isEqualTo("shut off");
    }

    private void start(Virsh libvirt, String xml) throws IOException {
        Path file = Files.writeString(temp.resolve("web.xml"), xml);
        // libvirt's own schema has no say on what it does not know, but it refuses what it cannot read.
        assertThat(libvirt.run("define " + file + " --validate")).contains("Domain 'web' defined");
        assertThat(libvirt.run("start web")).contains("Domain 'web' started");
    }

    private AgentCommand.Result agent(String command, String... more) throws IOException, InterruptedException {
        List<Object> all = new ArrayList<>(List.of(command, "--qmp", temp.resolve("qmp.sock")));
        all.addAll(List.of("--store", temp.resolve("store"), "--namespace", "ns", "--vm", "web"));
        all.addAll(List.of(more));
        AgentCommand.Result result = AgentCommand.run(temp, all.toArray());
        assertThat(result.code()).as(result.errors()).isZero();
        return result;
    }

    private String status() throws Exception {
        try (QmpClient qmp = QmpClient.connect(temp.resolve("qmp.sock"), QmpLimits.DEFAULT)) {
            return qmp.execute("query-status").path("status").asText();
        }
    }

    private Optional<Tick> lastTick() throws IOException {
        Path serial = temp.resolve("serial.log");
        return Files.exists(serial)
                ? Files.readString(serial, StandardCharsets.ISO_8859_1)
                        .lines()
                        .flatMap(line -> Tick.parse(line).stream())
                        .reduce((_, last) -> last)
                : Optional.empty();
    }

    private Tick awaitTick(Predicate<Tick> wanted) throws IOException, InterruptedException {
        long until = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
        while (System.nanoTime() < until) {
            Optional<Tick> tick = lastTick().filter(wanted);
            if (tick.isPresent()) {
                return tick.get();
            }
            TimeUnit.MILLISECONDS.sleep(50);
        }
        throw new IllegalStateException("waited in vain for a tick; the last one is " + lastTick());
    }

    private String domain() {
        return LibvirtExample.definition("web", GuestImage.get(), temp.resolve("serial.log"))
                .strip();
    }

    private static List<String> arguments(Document domain) {
        List<String> values = new ArrayList<>();
        NodeList arguments = domain.getElementsByTagNameNS(QEMU, "arg");
        for (int i = 0; i < arguments.getLength(); i++) {
            values.add(arguments.item(i).getAttributes().getNamedItem("value").getNodeValue());
        }
        return values;
    }

    private static Document parse(String xml) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder().parse(new InputSource(new StringReader(xml)));
    }
}
