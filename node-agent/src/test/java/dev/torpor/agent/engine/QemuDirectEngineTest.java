package dev.torpor.agent.engine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.torpor.agent.linux.Access;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.qmp.FakeMonitor;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which commands a save and a load send, in good and bad turns; what they do is shown on real QEMU. */
class QemuDirectEngineTest {
    private static final long OFFSET_BYTES = 4096;
    private static final ProgressListener NOBODY = (_, _) -> {};
    private static final SavePlan BUFFERED = new SavePlan(8, false, 0, 1 << 20);
    private static final SavePlan SLOW = new SavePlan(8, false, 1, 1 << 20);

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    private final FakeQemu qemu = new FakeQemu();

    @SuppressWarnings("NullAway.Init")
    private FakeMonitor monitor;

    @SuppressWarnings("NullAway.Init")
    private QmpClient qmp;

    @SuppressWarnings("NullAway.Init")
    private Directory directory;

    @BeforeEach
    void connect() throws Exception {
        Path socket = temp.resolve("qmp.sock");
        monitor = new FakeMonitor(socket, FakeMonitor.GREETING, qemu);
        QmpLimits limits = new QmpLimits(Duration.ofSeconds(5), Duration.ofSeconds(5), 1 << 20, 64, 10_000, 16, 100);
        qmp = QmpClient.connect(socket, limits);
        directory = Directory.open(temp);
        directory.createFile("image").close();
    }

    @AfterEach
    void disconnect() throws IOException {
        qmp.close();
        monitor.close();
        directory.close();
    }

    @Test
    void aSaveSetsWhatItNeedsAndPutsItBack() throws Exception {
        qemu.set("xbzrle", true);
        qemu.set("multifd", true);
        qemu.addFdSet(4, "owner's");
        String before = qemu.settings();
        List<Long> done = new ArrayList<>();

        SaveReport report = save(BUFFERED, new Cancellation(), (doneBytes, _) -> done.add(doneBytes));

        assertThat(report.normalPages()).isEqualTo(200);
        assertThat(qemu.settingsTooEarly).isFalse();
        assertThat(report.totalBytes()).isEqualTo(1 << 20);
        assertThat(done).first().isEqualTo(512L << 10);
        assertThat(done).last().isEqualTo(1L << 20);
        assertThat(qemu.arguments("migrate").path("uri").asText()).isEqualTo("file:/dev/fdset/5,offset=4096");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).containsExactly(4L);
        nothingWasCancelledOrContinued();
    }

    @Test
    void whileItSavesOnlyItsOwnCapabilitiesAreOn() throws Exception {
        qemu.set("xbzrle", true);
        qemu.set("auto-converge", true);
        List<String> enabled = new ArrayList<>();
        List<Integer> channels = new ArrayList<>();
        save(BUFFERED, new Cancellation(), (_, _) -> {
            enabled.addAll(qemu.enabled());
            channels.add(qemu.parameter("multifd-channels").asInt());
        });
        assertThat(enabled).containsOnly("mapped-ram", "multifd");
        assertThat(channels).containsOnly(8);
        assertThat(qemu.enabled()).containsExactly("auto-converge", "xbzrle");
    }

    @Test
    void aFailedSaveSaysWhyAndPutsSettingsBack() {
        qemu.course = FakeQemu.Course.FAILS;
        String before = qemu.settings();
        failsToSave(
                BUFFERED,
                new Cancellation(),
                FailureReason.NotEnoughSpace,
                "QEMU could not save: Unable to write to file: No space left on device");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
        nothingWasCancelledOrContinued();
    }

    @ParameterizedTest
    @EnumSource(
            value = FailureReason.class,
            names = {"Cancelled", "DeadlineExceeded"})
    void aWishToEndLiftsTheLimitAndWaits(FailureReason why) {
        qemu.course = FakeQemu.Course.COMPLETES_WITHOUT_LIMIT;
        String before = qemu.settings();
        Cancellation cancellation = new Cancellation();
        // The wish comes in the middle: the listener is called first when pages move.
        failsToSave(SLOW, cancellation, (_, _) -> cancellation.request(why, "that's enough"), why, "that's enough");
        assertThat(qemu.migration).isEqualTo("completed");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
        nothingWasCancelledOrContinued();
    }

    @Test
    void aWishToHurryLiftsTheLimitAndTheSaveIsDone() throws Exception {
        qemu.course = FakeQemu.Course.COMPLETES_WITHOUT_LIMIT;
        String before = qemu.settings();
        Cancellation cancellation = new Cancellation();
        List<Boolean> first = new ArrayList<>();
        SaveReport report = save(SLOW, cancellation, (_, _) -> first.add(cancellation.hurry()));
        assertThat(report.normalPages()).isPositive();
        assertThat(first).startsWith(true).filteredOn(asked -> asked).hasSize(1);
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
        nothingWasCancelledOrContinued();
    }

    @Test
    void theFirstWishCounts() {
        Cancellation cancellation = new Cancellation();
        cancellation.request(FailureReason.DeadlineExceeded, "too late");
        cancellation.request(FailureReason.Cancelled, "no longer wanted");
        assertThat(cancellation.requested()).isTrue();
        assertThatThrownBy(cancellation::check).hasMessage("too late");
    }

    @Test
    void aWishBeforeTheBeginningMovesNothing() {
        Cancellation cancellation = new Cancellation();
        cancellation.request(FailureReason.Cancelled, "no longer wanted");
        String before = qemu.settings();
        failsToSave(BUFFERED, cancellation, FailureReason.Cancelled, "no longer wanted");
        assertThat(qemu.commands).doesNotContain("migrate");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(strings = {"migrate", "migrate-set-capabilities", "migrate-set-parameters"})
    void aRefusalPutsSettingsBack(String command) {
        qemu.refused.put(command, "not now");
        // The one that is refused is not what puts things back: only the first of its kind is.
        qemu.refusesOnce = true;
        String before = qemu.settings();
        failsToSave(
                BUFFERED, new Cancellation(), FailureReason.QMPCommandFailed, "QEMU refused " + command + ": not now");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
    }

    @Test
    void aRefusedDescriptorLeavesNoneBehind() throws Exception {
        qemu.refused.put("add-fd", "no more");
        qemu.spared.put("add-fd", 1);
        try (Descriptor buffered = directory.openFile("image", Access.WRITE);
                Descriptor direct = directory.openFile("image", Access.WRITE_DIRECT)) {
            SavePlan plan = new SavePlan(8, true, 0, 1 << 20);
            assertThatThrownBy(() -> QemuDirectEngine.save(
                            qmp, plan, List.of(buffered, direct), OFFSET_BYTES, new Cancellation(), NOBODY))
                    .hasMessage("QEMU refused add-fd: no more");
        }
        assertThat(qemu.fdSets()).isEmpty();
        assertThat(qemu.commands).doesNotContain("migrate");
    }

    @Test
    void aQemuThatDiesIsNotSpokenToAgain() {
        qemu.hangsUpAt = "query-migrate";
        qemu.spared.put("query-migrate", 1);
        failsToSave(
                BUFFERED,
                new Cancellation(),
                FailureReason.QEMUGone,
                "QEMU closed its monitor while we waited for query-migrate");
        assertThat(qemu.commands).last().isEqualTo("query-migrate");
    }

    @Test
    void aGuestThatSomebodyContinuedMakesTheImageWorthless() {
        qemu.runState = "running";
        failsToSave(
                BUFFERED,
                new Cancellation(),
                FailureReason.SaveFailed,
                "somebody else let the guest run during the save: the image is of no moment");
    }

    @Test
    void directIONeedsTheSecondDescriptor() throws Exception {
        try (Descriptor buffered = directory.openFile("image", Access.WRITE);
                Descriptor direct = directory.openFile("image", Access.WRITE_DIRECT);
                Descriptor reading = directory.openFile("image", Access.READ);
                Descriptor both = directory.openFile("image", Access.READ_WRITE)) {
            for (List<Descriptor> wrong : List.of(
                    List.<Descriptor>of(),
                    List.of(buffered),
                    List.of(direct),
                    List.of(direct, buffered),
                    List.of(buffered, buffered),
                    List.of(both, direct),
                    List.of(reading, direct))) {
                assertThatThrownBy(() -> QemuDirectEngine.save(
                                qmp,
                                new SavePlan(2, true, 0, 1 << 20),
                                wrong,
                                OFFSET_BYTES,
                                new Cancellation(),
                                NOBODY))
                        .isInstanceOf(IllegalArgumentException.class);
            }
            // It is these that kill QEMU: none was ever sent.
            assertThat(qemu.commands).doesNotContain("add-fd", "migrate");

            SavePlan plan = new SavePlan(2, true, 0, 1 << 20);
            QemuDirectEngine.save(qmp, plan, List.of(buffered, direct), OFFSET_BYTES, new Cancellation(), NOBODY);
            assertThat(qemu.commands).contains("add-fd", "migrate");
        }
    }

    @Test
    void aLoadNeverLetsTheGuestRun() throws Exception {
        String before = qemu.settings();
        LoadReport report = load(Vms.INCOMING);
        assertThat(report.directIO()).isFalse();
        assertThat(qemu.arguments("migrate-incoming"))
                .isEqualTo(new ObjectMapper()
                        .readTree("{\"uri\":\"file:/dev/fdset/1,offset=4096\",\"exit-on-error\":false}"));
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).isEmpty();
        nothingWasCancelledOrContinued();
    }

    @Test
    void aQemuWithoutDirectIOIsNotAskedForIt() throws Exception {
        qemu.without("direct-io");
        load(Vms.withParameters(Vms.INCOMING, "multifd-channels", "max-bandwidth"));
        assertThat(qemu.arguments("migrate-incoming").has("exit-on-error")).isFalse();
        assertThat(qemu.parameter("direct-io").isMissingNode()).isTrue();
    }

    @Test
    void aFailedLoadSaysWhy() {
        qemu.course = FakeQemu.Course.FAILS;
        TorporException e = catchThrowableOfType(TorporException.class, () -> load(Vms.INCOMING));
        assertThat(e.reason()).isEqualTo(FailureReason.LoadFailed);
        assertThat(e)
                .hasMessage("QEMU could not load the image: Unable to write to file: No space left on device"
                        + " (its own output may say more)");
        nothingWasCancelledOrContinued();
    }

    /** Its settings are not touched any more: it is at work with them, and is to be ended. */
    @Test
    void aLoadThatHangsIsLeftWhenItsDeadlinePasses() {
        qemu.course = FakeQemu.Course.HANGS;
        Cancellation cancellation = new Cancellation();
        TorporException e = catchThrowableOfType(TorporException.class, () -> {
            try (Descriptor file = directory.openFile("image", Access.READ)) {
                QemuDirectEngine.load(
                        qmp,
                        Vms.INCOMING,
                        List.of(file),
                        OFFSET_BYTES,
                        cancellation,
                        (_, _) -> cancellation.request(FailureReason.DeadlineExceeded, "that's enough"));
            }
        });
        assertThat(e.reason()).isEqualTo(FailureReason.DeadlineExceeded);
        assertThat(e).hasMessage("that's enough");
        assertThat(qemu.migration).isEqualTo("active");
        int begun = qemu.commands.indexOf("migrate-incoming");
        assertThat(qemu.commands.subList(begun + 1, qemu.commands.size())).containsOnly("query-migrate");
        nothingWasCancelledOrContinued();
    }

    @Test
    void settlingWaitsForASaveOfAnEarlierLifeAndPutsSettingsBack() {
        qemu.course = FakeQemu.Course.COMPLETES_WITHOUT_LIMIT;
        qemu.addFdSet(1, "owner's");
        qemu.set("xbzrle", true);
        String before = qemu.settings();
        // A crash in the middle: nothing is put in order.
        assertThatThrownBy(() -> save(SLOW, new Cancellation(), (_, _) -> {
                    throw new IllegalStateException("crash");
                }))
                .hasMessage("crash");
        assertThat(qemu.settings()).isNotEqualTo(before);
        assertThat(qemu.fdSets()).containsExactly(1L, 2L);

        assertThatCode(() -> QemuDirectEngine.settle(qmp)).doesNotThrowAnyException();
        assertThat(qemu.migration).isEqualTo("completed");
        assertThat(qemu.settings()).isEqualTo(before);
        assertThat(qemu.fdSets()).containsExactly(1L);
        nothingWasCancelledOrContinued();
    }

    @ParameterizedTest
    @ValueSource(strings = {"torpor ", "torpor {", "torpor [7]", "torpor {\"parameters\":{\"tls-creds\":\"x\"}}"})
    void settlingPutsNothingBackByANoteThatIsNotOurs(String opaque) throws Exception {
        qemu.addFdSet(1, opaque);
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.fdSets()).isEmpty();
        assertThat(qemu.commands).doesNotContain("migrate-set-parameters", "migrate-set-capabilities");
    }

    @Test
    void settlingGivesUpAnOrphanOfTheOtherEngine() throws Exception {
        qemu.addFdSet(1, "torpor streams {\"capabilities\":{\"xbzrle\":true},\"parameters\":{\"multifd-channels\":5}}");
        qemu.migration = "active";
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.commands).containsOnlyOnce("migrate_cancel");
        assertThat(qemu.fdSets()).isEmpty();
        assertThat(qemu.settings()).contains("\"multifd-channels\":5");
        // Once that has ended there is nothing to give up.
        qemu.addFdSet(1, "torpor streams {}");
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.commands).containsOnlyOnce("migrate_cancel");
    }

    @ParameterizedTest
    @ValueSource(strings = {"torpor ", "torpor {\"capabilities\":{}}"})
    void anOrphanOfTheOtherEngineIsSeenBehindWhatWasLeftBefore(String left) throws Exception {
        qemu.addFdSet(1, left);
        qemu.addFdSet(2, "torpor streams {}");
        qemu.migration = "active";
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.commands).containsOnlyOnce("migrate_cancel");
        assertThat(qemu.fdSets()).isEmpty();
    }

    /** To cancel what QEMU writes itself may kill it. */
    @Test
    void whatQemuWritesItselfIsNotCancelledForAnOldNoteOfStreams() throws Exception {
        qemu.addFdSet(1, "torpor streams {}");
        qemu.addFdSet(2, "torpor {\"capabilities\":{}}");
        qemu.set("mapped-ram", true);
        qemu.migration = "active";
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.migration).isEqualTo("completed");
        assertThat(qemu.fdSets()).isEmpty();
        nothingWasCancelledOrContinued();
    }

    @Test
    void settlingAQemuAtRestChangesNothing() throws Exception {
        String before = qemu.settings();
        QemuDirectEngine.settle(qmp);
        assertThat(qemu.commands).containsExactly("qmp_capabilities", "query-fdsets", "query-migrate", "query-fdsets");
        assertThat(qemu.settings()).isEqualTo(before);
    }

    private SaveReport save(SavePlan plan, Cancellation cancellation, ProgressListener listener) throws Exception {
        try (Descriptor file = directory.openFile("image", Access.WRITE)) {
            return QemuDirectEngine.save(qmp, plan, List.of(file), OFFSET_BYTES, cancellation, listener);
        }
    }

    private LoadReport load(VmFacts target) throws Exception {
        try (Descriptor file = directory.openFile("image", Access.READ)) {
            return QemuDirectEngine.load(qmp, target, List.of(file), OFFSET_BYTES, new Cancellation(), NOBODY);
        }
    }

    private void failsToSave(SavePlan plan, Cancellation cancellation, FailureReason reason, String message) {
        failsToSave(plan, cancellation, NOBODY, reason, message);
    }

    private void failsToSave(
            SavePlan plan, Cancellation cancellation, ProgressListener listener, FailureReason reason, String message) {
        TorporException e = catchThrowableOfType(TorporException.class, () -> save(plan, cancellation, listener));
        assertThat(e).hasMessage(message);
        assertThat(e.reason()).isEqualTo(reason);
    }

    /** migrate_cancel kills QEMU now and then; whether the guest runs is for the caller to say. */
    private void nothingWasCancelledOrContinued() {
        assertThat(qemu.commands).doesNotContain("migrate_cancel", "migrate-cancel", "cont", "stop", "quit");
    }
}
