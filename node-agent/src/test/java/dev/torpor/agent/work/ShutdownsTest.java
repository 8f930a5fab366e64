package dev.torpor.agent.work;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.launch.VmJournal;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.metrics.AgentMetrics;
import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.utils.Serialization;
import io.micrometer.core.instrument.simple.SimpleMeterRegistry;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A VM that cannot be saved is shut down step by step, with a real journal. */
class ShutdownsTest {
    private static final VmName VM = new VmName("vms", "web");
    private static final Instant START = Instant.parse("2026-01-02T03:04:05Z");

    private final FakeVms vms = new FakeVms();
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor();

    @TempDir
    @SuppressWarnings("NullAway.Init")
    Path temp;

    @SuppressWarnings("NullAway.Init")
    private ImageStore store;

    @SuppressWarnings("NullAway.Init")
    private VmJournal journal;

    @SuppressWarnings("NullAway.Init")
    private VMSnapshot snapshot;

    private Instant now = START;

    @BeforeEach
    void open() throws Exception {
        store = ImageStore.open(temp.resolve("store"));
        journal = new VmJournal(store.directory());
        snapshot = Serialization.unmarshal("""
                apiVersion: torpor.dev/v1alpha1
                kind: VMSnapshot
                metadata: {name: s, namespace: vms, uid: u1, creationTimestamp: "%s"}
                spec: {vmName: web, mode: ManagedSave}
                status:
                  storeID: "%s"
                  pod: {name: web, uid: p1}
                  failure: {reason: MigrationBlocked, message: a device}
                """.formatted(START, store.storeID()), VMSnapshot.class);
    }

    @AfterEach
    void close() throws Exception {
        timer.shutdownNow();
        store.close();
    }

    @Test
    void theButtonIsPressedOnceAndThePodIsHeldFromBeforeThat() throws Exception {
        Shutdowns shutdowns = shutdowns();
        wish("p1/30");
        step(shutdowns);
        assertThat(reason()).isEqualTo("Asked");
        assertThat(journal.read(VM).retiredPods()).containsExactly("p1");
        assertThat(vms.presses).hasValue(0);
        step(shutdowns);
        step(shutdowns);
        assertThat(vms.presses).hasValue(1);

        step(shutdowns());
        assertThat(vms.presses).as("by the agent after this one").hasValue(2);
    }

    @Test
    void whenTheLauncherAsksAgainItIsDoneAndThePodStaysHeld() throws Exception {
        Shutdowns shutdowns = shutdowns();
        wish("p1/30");
        step(shutdowns);
        step(shutdowns);
        vms.asking = true;
        step(shutdowns);
        assertThat(reason()).isEqualTo("Ended");
        assertThat(isDone()).isTrue();
        step(shutdowns);
        assertThat(journal.read(VM).retiredPods()).containsExactly("p1");
    }

    @Test
    void aGuestThatTakesNoNoticeRunsOnAndMayStartAgain() throws Exception {
        Shutdowns shutdowns = shutdowns();
        wish("p1/30");
        step(shutdowns);
        now = START.plusSeconds(30);
        step(shutdowns);
        assertThat(reason()).isEqualTo("Asked");
        now = START.plusSeconds(31);
        step(shutdowns);
        assertThat(reason()).isEqualTo("TimedOut");
        assertThat(isDone()).isFalse();
        assertThat(journal.read(VM).retiredPods()).isEmpty();

        vms.asking = true;
        step(shutdowns);
        assertThat(reason()).isEqualTo("TimedOut");
        assertThat(journal.read(VM).retiredPods()).isEmpty();
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void whatIsNotWantedAnyMoreLetsThePodStartAndMayBeAskedForAgain(boolean done) throws Exception {
        Shutdowns shutdowns = shutdowns();
        wish("p1/30");
        step(shutdowns);
        vms.asking = done;
        step(shutdowns);
        wish(null);
        step(shutdowns);
        assertThat(reason()).isEqualTo("Recalled");
        assertThat(journal.read(VM).retiredPods()).isEmpty();

        vms.asking = false;
        wish("p1/30");
        step(shutdowns);
        step(shutdowns);
        assertThat(reason()).isEqualTo("Asked");
        assertThat(vms.presses).hasValueGreaterThan(0);
        assertThat(journal.read(VM).retiredPods()).containsExactly("p1");
    }

    @Test
    void aSnapshotThatIsDeletedLetsThePodStart() throws Exception {
        Shutdowns shutdowns = shutdowns();
        wish("p1/30");
        step(shutdowns);
        shutdowns.release(SnapshotView.of(snapshot));
        assertThat(journal.read(VM).retiredPods()).isEmpty();
    }

    @Test
    void aPodThatWasSavedIsNotReleasedByTheWay() throws Exception {
        var _ = journal.update(VM, vm -> vm.retired("p1"));
        shutdowns().release(SnapshotView.of(snapshot));
        assertThat(journal.read(VM).retiredPods()).containsExactly("p1");
    }

    @ParameterizedTest
    @ValueSource(strings = {"p2/30", "p1", "p1/", "p1/x", "p1/-1", "/30", ""})
    void whatIsNotMeantForThisPodOrNotUnderstoodIsNotDone(String value) throws Exception {
        wish(value);
        step(shutdowns());
        assertThat(snapshot.getStatus().getConditions()).isNullOrEmpty();
        assertThat(journal.read(VM).retiredPods()).isEmpty();
    }

    private Shutdowns shutdowns() {
        FakeCluster cluster = new FakeCluster(snapshot);
        return new Shutdowns(new Node(
                store,
                journal,
                vms,
                cluster,
                cluster,
                new Clock() {
                    @Override
                    public ZoneOffset getZone() {
                        return ZoneOffset.UTC;
                    }

                    @Override
                    public Clock withZone(java.time.ZoneId zone) {
                        return this;
                    }

                    @Override
                    public Instant instant() {
                        return now;
                    }
                },
                timer,
                new SaveTurns(2),
                new UnderWay(),
                new GuestReadiness(vms, cluster, Clock.systemUTC()),
                new AgentMetrics(new SimpleMeterRegistry()),
                StepHook.NONE,
                item -> {}));
    }

    private void wish(@Nullable String value) {
        Map<String, String> annotations =
                new HashMap<>(Objects.requireNonNullElse(snapshot.getMetadata().getAnnotations(), Map.of()));
        annotations.remove(Torpor.SHUT_DOWN_ANNOTATION);
        if (value != null) {
            annotations.put(Torpor.SHUT_DOWN_ANNOTATION, value);
        }
        snapshot.getMetadata().setAnnotations(annotations);
    }

    private void step(Shutdowns shutdowns) throws TorporException {
        Shutdowns.Step step = shutdowns.look(SnapshotView.of(snapshot));
        step.say().ifPresent(own -> snapshot.getStatus()
                .setConditions(List.of(Conditions.find(own.getConditions(), ConditionType.SHUT_DOWN)
                        .orElseThrow())));
    }

    private @Nullable String reason() {
        return Conditions.reason(snapshot.getStatus().getConditions(), ConditionType.SHUT_DOWN);
    }

    private boolean isDone() {
        return Conditions.isTrue(snapshot.getStatus().getConditions(), ConditionType.SHUT_DOWN);
    }
}
