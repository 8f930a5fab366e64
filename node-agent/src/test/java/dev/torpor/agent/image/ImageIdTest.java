package dev.torpor.agent.image;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ImageIdTest {
    @Test
    void pathIsBelowTheStore() {
        assertThat(new ImageId("ns", "my-vm.1", "abc-1").relativePath()).isEqualTo("images/ns/my-vm.1/abc-1.img");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "..", "a/b", "../x", ".hidden", "a\0b", "a b", "-a", "a-", "ä", "a\n"})
    void partsThatAreNoFileNamesAreRefused(String bad) {
        assertThatThrownBy(() -> new ImageId(bad, "vm", "uid"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("namespace '");
        assertThatThrownBy(() -> new ImageId("ns", bad, "uid"))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("VM name '");
        assertThatThrownBy(() -> new ImageId("ns", "vm", bad))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("image UID '");
    }

    @Test
    void partsThatAreTooLongAreRefusedAndCutInTheMessage() {
        assertThatThrownBy(() -> new ImageId("ns", "v".repeat(64), "uid"))
                .hasMessage(
                        "VM name '" + "v".repeat(63) + "...' is not 1 to 63 letters, digits or inner '-', '_', '.'");
    }

    @Test
    void uidHasNoDotSoThatSuffixesCannotBeForged() {
        assertThat(ImageId.isUid("a.json")).isFalse();
    }
}
