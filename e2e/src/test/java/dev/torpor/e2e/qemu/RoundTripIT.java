package dev.torpor.e2e.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.DirectIO;
import dev.torpor.agent.engine.Engine;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.SaveOptions;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** What is saved of one running guest is what is restored, and the guest that was saved runs on. */
@Tag("qemu")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@SuppressWarnings("NullAway.Init")
class RoundTripIT {
    private Path temp;
    private Path storePath;
    private ImageStore store;
    private Vm source;
    private Tick first;

    @BeforeAll
    void boot(@TempDir Path folder) throws Exception {
        temp = folder;
        storePath = temp.resolve("store");
        store = ImageStore.open(storePath);
        source = Vm.guest(temp);
        first = source.process().awaitTick(tick -> tick.number() >= 1);
    }

    @AfterAll
    void end() throws TorporException {
        source.close();
        store.close();
    }

    @AfterEach
    void theSourceRunsOn() throws Exception {
        Guest.resume(source.qmp());
        assertGoesOn(source);
        for (var image : store.list()) {
            store.delete(image.id());
        }
    }

    @ParameterizedTest(name = "{0} channels, direct I/O {1}")
    @CsvSource({"1, OFF", "2, OFF", "8, OFF", "1, REQUIRED", "2, REQUIRED", "8, REQUIRED"})
    void memoryIsTheSameBeforeInTheImageAndAfter(int channels, DirectIO directIO) throws Exception {
        Saving saving = Saving.begin(source, store, Saving.options(channels, directIO));
        MemoryDump before = MemoryDump.of(source.qmp(), temp, "before");
        SaveReport report = saving.write(new Cancellation(), (_, _) -> {});
        CommittedImage image = saving.commit(report);

        assertThat(report.totalBytes()).isGreaterThanOrEqualTo((long) Vm.MEMORY_MIB << 20);
        // The guest's kernel and its random data at least: it is not zeros that are compared.
        assertThat(report.normalPages()).isGreaterThan((32L << 20) / 4096);
        assertThat(image.layout().presentPages()).isEqualTo(report.normalPages());
        assertThat(image.header().channels()).isEqualTo(channels);
        assertThat(image.header().directIO()).isEqualTo(directIO == DirectIO.REQUIRED);
        assertThat(image.header().vm().memoryBytes()).isEqualTo((long) Vm.MEMORY_MIB << 20);
        assertThat(image.allocatedBytes()).isLessThan(image.sizeBytes());
        assertThat(store.state(image.id())).contains(new ImageState.Complete());
        before.assertSameAs(image);

        try (Vm restored = Vm.incomingGuest(temp)) {
            LoadReport load = Saving.load(restored, store.open(image.id()), directIO == DirectIO.REQUIRED);
            assertThat(load.directIO()).isEqualTo(directIO == DirectIO.REQUIRED);
            assertThat(Guest.runState(restored.qmp()).status()).isEqualTo("paused");
            MemoryDump after = MemoryDump.of(restored.qmp(), temp, "after");
            after.assertSameAs(before);
            after.delete();
        }
        before.delete();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void theGuestGoesOnWhereItWas(Engine engine) throws Exception {
        CommittedImage image = Saving.save(source, store, engine);
        Tick saved = source.process().lastTick().orElseThrow();
        try (Vm restored = Vm.incomingGuest(temp)) {
            Saving.load(restored, image, store.directIO());
            Guest.resume(restored.qmp());
            Guest.announce(restored.qmp());
            restored.process().awaitTick(tick -> true);
            // However many there are by now. The line that was being printed may have gone to the first QEMU in part.
            Tick next = restored.process().ticks().getFirst();
            assertThat(next.number()).isBetween(saved.number() + 1, saved.number() + 2);
            assertThat(next.nonce()).isEqualTo(first.nonce());
            assertGoesOn(restored);
        }
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void whatWasRestoredCanBeSavedAndRestoredAgain(Engine engine) throws Exception {
        CommittedImage image = Saving.save(source, store, engine);
        CommittedImage again;
        try (Vm restored = Vm.incomingGuest(temp)) {
            Saving.load(restored, image, false);
            Guest.resume(restored.qmp());
            restored.process().awaitTick(tick -> true);
            again = Saving.save(restored, store, engine);
        }
        try (Vm restored = Vm.incomingGuest(temp)) {
            Saving.load(restored, again, false);
            Guest.resume(restored.qmp());
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
            assertGoesOn(restored);
        }
    }

    @Test
    void theImageLoadsInStockQemuByHand() throws Exception {
        CommittedImage image = Saving.save(source, store);
        MemoryDump before = MemoryDump.of(source.qmp(), temp, "before");
        Path file = Saving.file(storePath, image);
        try (Vm restored = Vm.incomingGuest(temp)) {
            QmpClient qmp = restored.qmp();
            qmp.execute(
                    "migrate-set-capabilities",
                    Map.of("capabilities", List.of(Map.of("capability", "mapped-ram", "state", true))));
            String uri = "file:" + file + ",offset=" + ImageHeader.STREAM_OFFSET_BYTES;
            qmp.execute("migrate-incoming", Map.of("uri", uri));
            await().atMost(Duration.ofMinutes(1))
                    .until(() ->
                            qmp.execute("query-migrate").path("status").asText().equals("completed"));
            MemoryDump after = MemoryDump.of(qmp, temp, "after");
            after.assertSameAs(before);
            after.delete();
            qmp.execute("cont");
            assertThat(restored.process().awaitTick(tick -> true).nonce()).isEqualTo(first.nonce());
        }
        before.delete();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void aGuestThatItsOwnerPausedIsRecordedAndComesBackSo(Engine engine) throws Exception {
        source.qmp().execute("stop");
        CommittedImage image = Saving.save(source, store, engine);
        assertThat(image.header().wasRunning()).isFalse();
        try (Vm restored = Vm.incomingGuest(temp)) {
            Saving.load(restored, image, false);
            assertThat(Guest.runState(restored.qmp()).status()).isEqualTo("paused");
            // It was not let run for a moment: a guest that runs would print within a second or two.
            await().during(Duration.ofSeconds(2))
                    .atMost(Duration.ofSeconds(10))
                    .until(() -> restored.process().lastTick().isEmpty());
        }
    }

    @Test
    void aGuestThatRanIsRecordedSo() throws Exception {
        assertThat(Saving.save(source, store).header().wasRunning()).isTrue();
    }

    @ParameterizedTest
    @EnumSource(Engine.class)
    void theOwnersSettingsAreAfterwardsWhatTheyWere(Engine engine) throws Exception {
        QmpClient qmp = source.qmp();
        qmp.execute(
                "migrate-set-parameters",
                Map.of(
                        "max-bandwidth",
                        12_345_678,
                        "multifd-channels",
                        5,
                        "downtime-limit",
                        77,
                        "multifd-compression",
                        "zlib",
                        "multifd-zlib-level",
                        4));
        qmp.execute(
                "migrate-set-capabilities",
                Map.of("capabilities", List.of(Map.of("capability", "auto-converge", "state", true))));
        List<JsonNode> before = settings(qmp);

        Saving.save(source, store, engine);
        assertThat(settings(qmp)).isEqualTo(before);
        assertThat(qmp.execute("query-fdsets")).isEmpty();

        Guest.resume(qmp);
        Cancellation cancellation = new Cancellation();
        cancellation.request(FailureReason.Cancelled, "no longer wanted");
        Saving saving = Saving.begin(source, store, SaveOptions.DEFAULT.with(engine));
        assertThat(catchThrowable(() -> saving.write(cancellation, (_, _) -> {})))
                .hasMessage("no longer wanted");
        assertThat(settings(qmp)).isEqualTo(before);
        assertThat(qmp.execute("query-fdsets")).isEmpty();
    }

    @Test
    void anOwnersMappedRamIsOnAgainAfterACompressedSave() throws Exception {
        QmpClient qmp = source.qmp();
        List<JsonNode> first = settings(qmp);
        Map<String, Object> mappedRam = Map.of("capability", "mapped-ram", "state", true);
        qmp.execute("migrate-set-capabilities", Map.of("capabilities", List.of(mappedRam)));
        List<JsonNode> before = settings(qmp);
        assertThat(before).isNotEqualTo(first);

        SaveOptions compressed =
                SaveOptions.DEFAULT.with(new Compression(Compression.Method.ZSTD, OptionalInt.empty()));
        Saving saving = Saving.begin(source, store, compressed);
        saving.commit(saving.write(new Cancellation(), (_, _) -> {}));
        assertThat(settings(qmp)).isEqualTo(before);
        Guest.resume(qmp);
        Map<String, Object> off = Map.of("capability", "mapped-ram", "state", false);
        qmp.execute("migrate-set-capabilities", Map.of("capabilities", List.of(off)));
    }

    @Test
    void theProbeSeesTheMachineAsItIs() throws Exception {
        var facts = QemuProbe.probe(source.qmp());
        assertThat(facts.definition().qemuVersion()).isEqualTo(source.qmp().version());
        assertThat(facts.definition().machineType()).startsWith("pc-q35-");
        assertThat(facts.definition().ramBlocks()).containsEntry("pc.ram", (long) Vm.MEMORY_MIB << 20);
        assertThat(facts.definition().accelerator()).isEqualTo("tcg");
        assertThat(facts.definition().cpuModel()).isEqualTo("max-x86_64-cpu");
        assertThat(facts.capabilities()).contains("mapped-ram", "multifd");
        assertThat(facts.descriptorsLeft()).isPresent();
        assertThat(facts.runState().running()).isTrue();
    }

    private static List<JsonNode> settings(QmpClient qmp) throws TorporException {
        List<JsonNode> settings = new ArrayList<>();
        settings.add(qmp.execute("query-migrate-parameters"));
        settings.add(qmp.execute("query-migrate-capabilities"));
        return settings;
    }

    private void assertGoesOn(Vm vm) throws Exception {
        long now = vm.process().lastTick().map(Tick::number).orElse(0L);
        Tick next = vm.process().awaitTick(tick -> tick.number() > now);
        assertThat(next.nonce()).isEqualTo(first.nonce());
        assertThat(next.memoryWrong()).isFalse();
    }
}
