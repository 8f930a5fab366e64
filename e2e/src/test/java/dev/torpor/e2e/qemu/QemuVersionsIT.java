package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.e2e.guest.GuestImage;
import dev.torpor.e2e.guest.QemuProcess;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The QEMU versions that run here: what they answer to a probe, and that what follows from it works. */
@Tag("qemu")
class QemuVersionsIT {
    private static final boolean WRITE = Boolean.getBoolean("torpor.record");
    private static final Compression ZLIB = new Compression(Compression.Method.ZLIB, OptionalInt.empty());

    private static final Compression ZSTD = new Compression(Compression.Method.ZSTD, OptionalInt.empty());

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    static List<QemuVersion> versions() {
        return QemuVersion.tried();
    }

    /** What the unit tests of the choice read is what QEMU says. {@code make record-qmp} writes it anew. */
    @ParameterizedTest
    @MethodSource("versions")
    void itAnswersAsItWasRecorded(QemuVersion version) throws Exception {
        List<String> arguments = new ArrayList<>(GuestImage.machine(64));
        arguments.addAll(List.of("-machine", version.machine(), "-cpu", "qemu64", "-smp", "2"));
        arguments.addAll(List.of("-uuid", "11111111-2222-3333-4444-555555555555", "-vga", "std"));
        arguments.addAll(List.of("-device", "virtio-rng-pci,id=rng", "-device", "virtio-balloon-pci"));
        arguments.addAll(List.of("-nic", "user,model=virtio-net-pci", "-S"));
        try (QemuProcess qemu = QemuProcess.start(version.program(), temp, arguments)) {
            QmpRecording now = QmpRecording.of(qemu.socket(), temp);
            if (WRITE) {
                now.write(version.recording());
            }
            assertThat(now.conversation())
                    .isEqualTo(QmpRecording.read(version.recording()).conversation());
        }
    }

    /** Tells whether a build has a method: the one enumeration that has both "none" and "zlib" (MultiFDCompression) names it. */
    private static boolean compresses(QmpClient qmp, String method) throws TorporException {
        for (JsonNode type : qmp.execute("query-qmp-schema")) {
            List<String> values =
                    type.path("values").valueStream().map(JsonNode::asText).toList();
            if (values.containsAll(List.of("none", "zlib"))) {
                return values.contains(method);
            }
        }
        return false;
    }

    @ParameterizedTest
    @MethodSource("versions")
    void aGuestIsSavedByEachEngineThatItHasAndGoesOn(QemuVersion version) throws Exception {
        try (ImageStore store = ImageStore.open(temp.resolve("store"));
                Vm source = Vm.guestOf(version.program(), temp)) {
            Tick first = source.process().awaitTick(tick -> tick.number() >= 1);
            List<SaveOptions> ways = new ArrayList<>();
            ways.add(SaveOptions.DEFAULT.with(Engine.MULTIFD_STREAM));
            if (QemuProbe.probe(source.qmp()).capabilities().contains("mapped-ram")) {
                ways.add(SaveOptions.DEFAULT.with(Engine.QEMU_DIRECT));
            }
            boolean zstd = compresses(source.qmp(), "zstd");
            if (QemuProbe.probe(source.qmp()).parameters().contains("multifd-compression")) {
                ways.add(SaveOptions.DEFAULT.with(ZLIB));
                assertThat(zstd)
                        .as("Debian's 5.2 was built without, the others with it")
                        .isNotEqualTo(version.name().equals("5.2"));
                if (!zstd) {
                    // Its guest is paused then, and is saved the other ways after it.
                    Saving refused = Saving.begin(source, store, SaveOptions.DEFAULT.with(ZSTD));
                    assertThatExceptionOfType(TorporException.class)
                            .isThrownBy(() -> refused.write(new Cancellation(), (_, _) -> {}))
                            .withMessageContaining("cannot compress with zstd")
                            .extracting(TorporException::reason)
                            .isEqualTo(FailureReason.CapabilityMissing);
                    refused.abandon();
                }
            } else {
                assertThat(zstd).isFalse();
            }
            if (QemuVersion.all()) {
                // Fewer than before, too: QEMU 4.2 would die of it.
                ways.add(Saving.options(16, DirectIO.AUTO).with(Engine.MULTIFD_STREAM));
                ways.add(Saving.options(1, DirectIO.AUTO).with(Engine.MULTIFD_STREAM));
                if (zstd) {
                    ways.add(SaveOptions.DEFAULT.with(ZSTD));
                    ways.add(Saving.options(16, DirectIO.AUTO).with(ZSTD));
                }
            }
            for (SaveOptions way : ways) {
                Saving saving = Saving.begin(source, store, way);
                MemoryDump before = MemoryDump.of(source.qmp(), temp, "before");
                CommittedImage image = saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
                try (Vm restored = Vm.guestOf(version.program(), temp, "-incoming", "defer")) {
                    Saving.load(restored, image, saving.plan().directIO());
                    MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
                    after.assertSameAs(before);
                    after.delete();
                    Guest.resume(restored.qmp());
                    assertThat(restored.process().awaitTick(tick -> true).nonce())
                            .as("%s", way)
                            .isEqualTo(first.nonce());
                }
                before.delete();
                Guest.resume(source.qmp());
                long now = source.process().lastTick().orElseThrow().number();
                assertThat(source.process()
                                .awaitTick(tick -> tick.number() > now)
                                .nonce())
                        .isEqualTo(first.nonce());
            }
        }
    }
}
