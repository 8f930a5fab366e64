package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class LibvirtDomainTest {
    static final String XML = """
            <domain type='kvm' id='1'>
              <name>web</name>
              <uuid>11111111-2222-3333-4444-555555555555</uuid>
              <memory unit='KiB'>2048</memory>
              <vcpu placement='static' current='2'>4</vcpu>
              <os><type arch='x86_64' machine='pc-q35-10.0'>hvm</type></os>
              <devices>
                <controller type='sata' index='0'>
                  <address type='pci' domain='0x0000' bus='0x00' slot='0x1f' function='0x2'/>
                </controller>
                <disk><address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>
                <interface><name>other</name><address type='pci' slot='0x03' function='0x0'/></interface>
              </devices>
            </domain>
            """;

    @Test
    void whatCanBeComparedIsRead() throws TorporException {
        LibvirtDomain domain = LibvirtDomain.parse(XML);
        assertThat(domain.name()).isEqualTo("web");
        assertThat(domain.uuid()).isEqualTo("11111111-2222-3333-4444-555555555555");
        assertThat(domain.accelerator()).isEqualTo("kvm");
        assertThat(domain.machineType()).isEqualTo("pc-q35-10.0");
        assertThat(domain.vcpus()).isEqualTo(2);
        assertThat(domain.memoryBytes()).isEqualTo(2 << 20);
        assertThat(domain.pciFunctions()).containsExactly("@1f.2", "@03.0");
    }

    @ParameterizedTest
    @CsvSource({"MiB, 3, 3145728", "GiB, 1, 1073741824", "b, 4096, 4096", "KB, 2, 2000"})
    void memoryHasItsUnit(String unit, String number, long bytes) throws TorporException {
        assertThat(LibvirtDomain.parse(XML.replace("'KiB'>2048", "'" + unit + "'>" + number))
                        .memoryBytes())
                .isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "<domain",
                "<domain type='kvm'/>",
                "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><domain type='kvm'><name>&x;</name></domain>",
                "<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x'><domain type='kvm'/>",
                "<domain type='kvm'><name>&undeclared;</name></domain>",
            })
    void whatIsNoDefinitionIsRefused(String xml) {
        refuses(xml);
    }

    @Test
    void whatCannotBeIsRefused() {
        refuses(XML.replace("'kvm'", "'xen'"));
        refuses(XML.replace(">2048<", ">99999999999999999999<"));
        refuses(XML.replace(">2048<", ">-1<"));
        refuses(XML.replace("'KiB'", "'furlong'"));
        refuses(XML.replace("current='2'", "current='0'"));
        refuses(XML.replace("slot='0x03'", "slot='three'"));
        refuses(XML.replace("machine='pc-q35-10.0'", ""));
        refuses(XML.replace("<devices>", "<x>".repeat(100) + "</x>".repeat(100) + "<devices>"));
        refuses("<!DOCTYPE domain>" + XML);
    }

    private static void refuses(String xml) {
        assertThatThrownBy(() -> LibvirtDomain.parse(xml))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.ImageDamaged))
                .hasMessageStartingWith("the domain's definition cannot be read: ");
    }
}
