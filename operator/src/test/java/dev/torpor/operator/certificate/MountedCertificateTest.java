package dev.torpor.operator.certificate;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@SuppressWarnings("NullAway.Init")
class MountedCertificateTest {
    @TempDir
    Path directory;

    private final Generation first =
            new GenerationFactory().make(List.of("hook"), Instant.parse("2026-01-01T00:00:00Z"));
    private final Generation second =
            new GenerationFactory().make(List.of("hook"), Instant.parse("2026-06-01T00:00:00Z"));
    private Instant now = Instant.parse("2026-06-02T00:00:00Z");
    private MountedCertificate mounted;

    @BeforeEach
    void mount() {
        mounted = new MountedCertificate(directory, () -> now);
    }

    @Test
    void filesThatAreNotThereYetAreSaid() {
        mounted.load();

        assertThat(mounted.notReadyReason()).isPresent();
        assertThat(mounted.expiry()).isEmpty();
    }

    @Test
    void filesAreServedAndExchanged() throws IOException {
        write(first, first);
        mounted.load();
        assertThat(mounted.notReadyReason()).isEmpty();
        assertThat(mounted.key().certificate()).contains(first.certificate());

        write(second, second);
        mounted.load();
        assertThat(mounted.key().certificate()).contains(second.certificate());
        assertThat(mounted.expiry()).contains(second.expiry());
    }

    @Test
    void halfOfAnExchangeIsNotServed() throws IOException {
        write(first, first);
        mounted.load();

        write(second, first);
        mounted.load();

        assertThat(mounted.key().certificate()).contains(first.certificate());
        assertThat(mounted.notReadyReason()).isEmpty();
    }

    @Test
    void endOfTheCertificateIsSaid() throws IOException {
        write(first, first);
        mounted.load();

        now = first.expiry();

        assertThat(mounted.notReadyReason())
                .hasValueSatisfying(why -> assertThat(why).endsWith("ended at " + first.expiry()));
        now = now.minus(Duration.ofDays(1));
        assertThat(mounted.notReadyReason()).isEmpty();
    }

    private void write(Generation certificate, Generation key) throws IOException {
        Files.writeString(directory.resolve("tls.crt"), Pem.of(certificate.certificate()));
        Files.writeString(directory.resolve("tls.key"), Pem.of(key.key()));
    }
}
