package dev.torpor.agent.launch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.SimulatedDisk;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VmJournalTest {
    private static final VmName VM = new VmName("vms", "web");
    private static final Instant NOW = Instant.parse("2026-01-02T03:04:05Z");
    private static final ImageId IMAGE = new ImageId("vms", "web", "s1");
    private static final ProcessIdentity PROCESS = new ProcessIdentity("p1", "c1", "boot", 7, 42);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private Directory store;

    @BeforeEach
    void open() throws IOException {
        store = Directory.open(temp);
    }

    @AfterEach
    void close() throws IOException {
        store.close();
    }

    @Test
    void nothingIsKnownOfANewVm() throws TorporException {
        assertThat(new VmJournal(store).read(VM)).isEqualTo(VmRecord.NONE);
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whatIsReadAfterAFailureIsThereAfterAPowerLossToo(boolean apart) throws Exception {
        int failures = 0;
        try {
            for (int seed = 0; seed < 400; seed++) {
                AtomicInteger left = new AtomicInteger(-1);
                SimulatedDisk disk = SimulatedDisk.mount(
                        temp,
                        1,
                        () -> left.get() > 0 && left.decrementAndGet() == 0
                                ? Optional.of(SimulatedDisk.Fault.EIO)
                                : Optional.empty());
                VmRecord seen;
                try (Directory disks = Directory.open(temp)) {
                    VmJournal journal = new VmJournal(disks);
                    journal.update(VM, r -> r.booted("p1", "a1", NOW));
                    left.set(1 + seed % 40);
                    failures += retire(journal, apart) ? 0 : 1;
                    left.set(-1);
                    seen = journal.read(VM);
                }
                disk.losePower(new Random(seed));
                try (Directory disks = Directory.open(temp)) {
                    assertThat(new VmJournal(disks).read(VM))
                            .as("seed %d", seed)
                            .isEqualTo(seen);
                }
            }
        } finally {
            SimulatedDisk.unmountAll();
        }
        assertThat(failures).isBetween(40, 360);
    }

    @Test
    void whatFailedInTheMiddleOfItsPreparationIsNotTakenForPrepared() throws Exception {
        VmRecord.HandOver to = new VmRecord.HandOver("r1", IMAGE, PROCESS);
        int failures = 0;
        try {
            for (int call = 1; call < 12; call++) {
                AtomicInteger left = new AtomicInteger(-1);
                var _ = SimulatedDisk.mount(
                        temp,
                        1,
                        () -> left.get() > 0 && left.decrementAndGet() == 0
                                ? Optional.of(SimulatedDisk.Fault.ENOSPC)
                                : Optional.empty());
                try (Directory disks = Directory.open(temp)) {
                    VmJournal journal = new VmJournal(disks);
                    journal.prepare(VM, r -> r.handedOver(to));
                    left.set(call);
                    failures += prepares(journal, to) ? 0 : 1;
                    left.set(-1);
                    VmRecord over = journal.update(VM, r -> r.handedOver(to));
                    assertThat(new VmJournal(disks).read(VM))
                            .as("call %d failed", call)
                            .isEqualTo(over);
                }
            }
        } finally {
            SimulatedDisk.unmountAll();
        }
        assertThat(failures).isBetween(3, 10);
    }

    private static boolean prepares(VmJournal journal, VmRecord.HandOver to) {
        try {
            journal.prepare(VM, r -> r.handedOver(to));
            return true;
        } catch (TorporException e) {
            return false;
        }
    }

    private static boolean retire(VmJournal journal, boolean apart) {
        try {
            if (apart) {
                journal.updateUnflushed(VM, r -> r.retired("p0"));
                journal.flush(VM);
            } else {
                journal.update(VM, r -> r.retired("p0"));
            }
            return true;
        } catch (TorporException e) {
            assertThat(e.reason()).isEqualTo(FailureReason.StoreFailed);
            return false;
        }
    }

    @Test
    void whatWasRecordedIsReadByTheNextAgent() throws TorporException {
        VmRecord written = new VmJournal(store).update(VM, r -> r.booted("p1", "a1", NOW)
                .incoming("p1", "a2", "r1", VmRecord.Resume.eager(true, "it is too old"), NOW)
                .retired("p0")
                .handedOver(new VmRecord.HandOver("r1", IMAGE, PROCESS))
                .waitingFor(new VmRecord.Waiting("r2", IMAGE)));
        assertThat(written.runs()).isEqualTo(2);
        assertThat(new VmJournal(store).read(VM)).isEqualTo(written);
        assertThat(new VmJournal(store).podsOfLastRuns()).containsOnlyKeys("p1").containsValue(VM);
    }

    @Test
    void damageStaysWithTheProcessThatHasIt() throws TorporException {
        VmRecord.HandOver to = new VmRecord.HandOver("r1", IMAGE, PROCESS);
        VmJournal journal = new VmJournal(store);
        VmRecord before = journal.update(VM, r -> r.handedOver(to));
        assertThat(journal.update(VM, r -> r.damaged("r0", "page 5"))).isEqualTo(before);
        journal.update(VM, r -> r.damaged("r1", "page 5"));
        VmRecord told = new VmJournal(store).read(VM);
        assertThat(told.damageOf(PROCESS)).contains("page 5");
        assertThat(told.damageOf(new ProcessIdentity("p1", "c1", "boot", 8, 43)))
                .isEmpty();
        assertThat(told.handedOver(to)).as("is no second run").isEqualTo(told);
        assertThat(told.handedOver(new VmRecord.HandOver("r2", IMAGE, PROCESS)).damageOf(PROCESS))
                .isEmpty();
    }

    @Test
    void whatWasPreparedIsNeitherInForceNorInTheWayOfAnotherChange() throws TorporException {
        VmJournal journal = new VmJournal(store);
        VmRecord.HandOver to = new VmRecord.HandOver("r1", IMAGE, PROCESS);
        journal.prepare(VM, r -> r.handedOver(to));
        assertThat(journal.read(VM)).isEqualTo(VmRecord.NONE);
        VmRecord retired = journal.update(VM, r -> r.retired("p0"));
        assertThat(new VmJournal(store).read(VM)).isEqualTo(retired);
        journal.prepare(VM, r -> r.handedOver(to));
        VmRecord over = journal.update(VM, r -> r.handedOver(to));
        assertThat(over.retiredPods()).containsExactly("p0");
        assertThat(new VmJournal(store).read(VM)).isEqualTo(over);
    }

    @Test
    void recordsArePrivate() throws Exception {
        new VmJournal(store).update(VM, r -> r.retired("p0"));
        assertThat(mode("vms")).isEqualTo("rwx------");
        assertThat(mode("vms/vms")).isEqualTo("rwx------");
        assertThat(mode("vms/vms/web.json")).isEqualTo("rw-------");
    }

    @Test
    void aDamagedRecordIsAnErrorAndStands() throws Exception {
        VmJournal journal = new VmJournal(store);
        journal.update(VM, r -> r.retired("p0"));
        Files.writeString(temp.resolve("vms/vms/web.json"), "{\"formatVersion\":1,");
        assertThatThrownBy(() -> journal.update(VM, r -> r.booted("p1", "a1", NOW)))
                .isInstanceOfSatisfying(
                        TorporException.class, e -> assertThat(e.reason()).isEqualTo(FailureReason.StoreFailed))
                .hasMessageContaining("vms/web");
        assertThat(journal.podsOfLastRuns()).isEmpty();
    }

    /** Also those that leave JSON with all fields that must be there, as in the name of one that need not be. */
    @Test
    void noFlippedBitOfARecordIsBelieved() throws Exception {
        VmJournal journal = new VmJournal(store);
        VmRecord whole = journal.update(
                VM, r -> r.booted("p1", "a1", NOW).retired("p0").waitingFor(new VmRecord.Waiting("r1", IMAGE)));
        Path file = temp.resolve("vms/vms/web.json");
        byte[] sound = Files.readAllBytes(file);
        for (int i = 0; i < sound.length; i++) {
            byte[] flipped = sound.clone();
            flipped[i] ^= (byte) (1 << i % Byte.SIZE);
            Files.write(file, flipped);
            assertThatThrownBy(() -> journal.read(VM)).as("byte " + i).isInstanceOf(TorporException.class);
            Files.write(file, Arrays.copyOf(sound, i));
            assertThatThrownBy(() -> journal.read(VM)).as("cut at " + i).isInstanceOf(TorporException.class);
        }
        Files.write(file, sound);
        assertThat(journal.read(VM)).isEqualTo(whole);
    }

    @Test
    void aRecordWithoutAChecksumIsOfAnOlderReleaseAndRead() throws Exception {
        VmJournal journal = new VmJournal(store);
        VmRecord now = journal.update(VM, r -> r.booted("p1", "a1", NOW).retired("p0"));
        Path file = temp.resolve("vms/vms/web.json");
        String older = Files.readString(file)
                .replace("\"formatVersion\":2", "\"formatVersion\":1")
                .replaceFirst(",\"crc32c\":\"[0-9a-f]{8}\"", "");
        Files.writeString(file, older);
        assertThat(journal.read(VM)).isEqualTo(now);
    }

    @Test
    void aRecordOfANewerReleaseIsNotGuessedAt() throws Exception {
        VmJournal journal = new VmJournal(store);
        journal.update(VM, r -> r.retired("p0"));
        Files.writeString(temp.resolve("vms/vms/web.json"), "{\"formatVersion\":3}");
        assertThatThrownBy(() -> journal.read(VM)).isInstanceOf(TorporException.class);
    }

    @Test
    void theSameAskCountsOnce() {
        VmRecord once = VmRecord.NONE.booted("p1", "a1", NOW);
        assertThat(once.booted("p1", "a1", NOW.plusSeconds(5))).isEqualTo(once);
        assertThat(once.booted("p1", "a2", NOW).runs()).isEqualTo(2);
    }

    @Test
    void aResumeCountsWhenItIsHandedOverAndNotBefore() {
        VmRecord fed = VmRecord.NONE
                .booted("p0", "a0", NOW)
                .waitingFor(new VmRecord.Waiting("r1", IMAGE))
                .incoming("p1", "a1", "r1", VmRecord.Resume.EAGER, NOW);
        assertThat(fed.runs()).isEqualTo(1);
        VmRecord over = fed.handedOver(new VmRecord.HandOver("r1", IMAGE, PROCESS));
        assertThat(over.runs()).isEqualTo(2);
        assertThat(over.waiting()).isEmpty();
        assertThat(over.handedOver(new VmRecord.HandOver("r1", IMAGE, PROCESS))).isEqualTo(over);
    }

    @Test
    void anotherRestoresImageGoesOnWaiting() {
        VmRecord waiting = VmRecord.NONE.waitingFor(new VmRecord.Waiting("r1", IMAGE));
        assertThat(waiting.notWaitingFor("r2")).isEqualTo(waiting);
        assertThat(waiting.notWaitingFor("r1").waiting()).isEmpty();
    }

    @Test
    void retiredPodsAreBounded() {
        VmRecord record = VmRecord.NONE;
        for (int i = 0; i < 1000; i++) {
            record = record.retired("p" + i);
        }
        assertThat(record.retiredPods()).hasSize(256).contains("p999");
        assertThat(record.retired("p999")).isEqualTo(record);
    }

    private String mode(String path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(temp.resolve(path)));
    }
}
