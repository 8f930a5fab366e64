package dev.torpor.api.v1alpha1;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.client.utils.Serialization;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ImageStatusTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0.0 KiB",
        "1536, 1.5 KiB",
        "1048576, 1.0 MiB",
        "1590190571, 1.5 GiB",
        "5497558138880, 5.0 TiB",
        "9007199254740992, 8192.0 TiB",
    })
    void sizeIsReadable(long bytes, String text) {
        assertThat(new ImageStatus("a.img", bytes, bytes, 1).size()).isEqualTo(text);
    }

    @Test
    void roundTripKeepsAllFields() {
        ImageStatus image = new ImageStatus("images/a/b/c.img", 4296019968L, 1590190571L, 1);

        assertThat(Serialization.unmarshal(Serialization.asJson(image), ImageStatus.class))
                .isEqualTo(image);
    }

    @Test
    void absentFieldsStayAbsent() {
        assertThat(Serialization.unmarshal("{\"path\": \"a.img\"}", ImageStatus.class))
                .isEqualTo(new ImageStatus("a.img", null, null, null, null));
    }
}
