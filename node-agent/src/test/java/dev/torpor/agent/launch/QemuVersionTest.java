package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class QemuVersionTest {
    @ParameterizedTest
    @CsvSource({
        "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2),10,0",
        "QEMU emulator version 8.2.91 (v9.0.0-rc1),8,2",
        "QEMU emulator version 7.2.22,7,2"
    })
    void theVersionIsReadFromWhatQemuPrints(String line, int major, int minor) {
        assertThat(QemuVersion.parse(line)).contains(new QemuVersion(major, minor));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "version", "kvm: no such option", "version 12345.1", "version x.y"})
    void anythingElseIsNoVersion(String line) {
        assertThat(QemuVersion.parse(line)).isEmpty();
    }

    @Test
    void versionsAreOrdered() {
        assertThat(new QemuVersion(10, 0)).isGreaterThan(new QemuVersion(8, 2));
        assertThat(new QemuVersion(8, 2)).isGreaterThan(new QemuVersion(8, 1)).hasToString("8.2");
    }
}
