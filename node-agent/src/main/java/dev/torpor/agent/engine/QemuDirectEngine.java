package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.image.StoreTrouble;
import dev.torpor.agent.linux.Descriptor;
import dev.torpor.agent.qmp.QmpAnswer;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommand;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Has QEMU itself write and read the image, several channels at a time: migration to a file with {@code mapped-ram} (QEMU
 * 9.0) and {@code multifd}, past the page cache where {@code direct-io} (9.1) and the file system allow.
 *
 * <p>A save: {@link #plan} (no side effects) → the caller makes the file durable as Partial → {@link Guest#pause} → {@link
 * #save} → the caller checks and commits. Whatever happens, QEMU ends with its own settings and without our descriptors,
 * and the guest is left paused for the caller to continue or end. The engine never continues, ends or cancels anything.
 */
public final class QemuDirectEngine {
    /** Name of the engine in the image and in status. */
    public static final String NAME = Engine.QEMU_DIRECT.word();
    /** Most channels that QEMU takes (a uint8 in qapi/migration.json). */
    public static final int CHANNELS_MAX = 255;

    // 2 to 4 channels give most of the gain (trials on NVMe); more only cost CPU that the guests want.
    private static final int CHANNELS_CHOSEN_MIN = 2;
    private static final int CHANNELS_CHOSEN_MAX = 4;
    // Beside the channels' descriptors QEMU opens a few for itself; out of descriptors it crashes.
    private static final int DESCRIPTORS_SPARE = 16;
    static final String MAPPED_RAM = "mapped-ram";
    private static final Set<String> CAPABILITIES = Set.of(MAPPED_RAM, "multifd");
    // Long past what a busy machine needs; if it is over, the check for writers before the commit has the last word.
    private static final long LET_GO_NANOS_MAX = TimeUnit.SECONDS.toNanos(5);
    private static final long LET_GO_LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(1);
    private static final String DIRECT_IO = "direct-io";
    // Beside mapped-ram QEMU takes no parameter at all while its owner's compression is in force.
    private static final QmpCommand NO_COMPRESSION =
            new QmpCommand("migrate-set-parameters", Map.of(MultifdStreamEngine.COMPRESSION, "none"));

    private QemuDirectEngine() {}

    /** What the store can do for a save. */
    public record StoreFacts(long freeBytes, boolean directIO) {}

    /**
     * Decides how a VM will be saved, or why it cannot be. Touches nothing.
     *
     * @throws TorporException CapabilityMissing, MigrationBlocked, ChannelsOutOfRange, DescriptorLimit,
     *     DirectIOUnsupported, NotEnoughSpace
     */
    public static SavePlan plan(VmFacts vm, SaveOptions options, StoreFacts store) throws TorporException {
        requireCapabilities(vm);
        requireMigratable(vm.blockedReasons());
        requireRunSinceLastSave(vm.runState());
        int channels = channels(options);
        requireDescriptors(vm, channels);
        boolean directIO = directIO(vm, options.directIO(), store.directIO());
        long memoryBytes = memoryBytes(vm);
        ImageStore.requireRoom(memoryBytes, store.freeBytes());
        return new SavePlan(channels, directIO, options.bandwidthBytesPerSecondMax(), memoryBytes);
    }

    /** Returns the bytes of all RAM blocks. */
    static long memoryBytes(VmFacts vm) {
        return vm.definition().ramBlocks().values().stream()
                .mapToLong(Long::longValue)
                .sum();
    }

    /**
     * Throws if the VM cannot be saved now. Worth repeating after {@code stop}: a device can block late.
     *
     * @throws TorporException MigrationBlocked with QEMU's sentences
     */
    public static void requireMigratable(List<String> blockedReasons) throws TorporException {
        if (!blockedReasons.isEmpty()) {
            throw new TorporException(
                    FailureReason.MigrationBlocked,
                    "QEMU cannot save this VM: " + String.join("; ", blockedReasons)
                            + ": remove the device, or have the guest let go of it");
        }
    }

    // Letting it run for an instant is not ours to decide: its owner paused it.
    static void requireRunSinceLastSave(RunState state) throws TorporException {
        if (state.incoming()) {
            throw new TorporException(
                    FailureReason.VMNotRunning, "QEMU waits to be fed an image, and has no memory of its own yet");
        }
        if (state.savedAndNotRunSince()) {
            throw new TorporException(
                    FailureReason.MigrationBlocked,
                    "the guest was paused by its owner when it was saved last, and QEMU saves it again only after it has"
                            + " run: use the image that there is, or let the guest run");
        }
    }

    /**
     * Has QEMU write the paused VM's memory and device state.
     *
     * @param files O_WRONLY, and with direct I/O a second one O_WRONLY|O_DIRECT from an open of its own
     * @param streamOffsetBytes where in the file QEMU's stream begins
     * @throws TorporException SaveFailed with QEMU's reason; NotEnoughSpace or StoreFailed where that is the file system's; Cancelled or DeadlineExceeded once QEMU is done (it is never
     *     interrupted: that may kill it); QEMUGone; QMPTimeout, after which QEMU may still be writing: see {@link #settle}
     */
    public static SaveReport save(
            QmpClient qmp,
            SavePlan plan,
            List<Descriptor> files,
            long streamOffsetBytes,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        MigrationSettings settings = MigrationSettings.read(qmp);
        long began = System.nanoTime();
        MigrationWatch.End end;
        FdSet fdSet = FdSet.add(qmp, files, plan.directIO(), true, settings.note());
        try {
            set(qmp, settings, plan.channels(), plan.directIO(), plan.bandwidthBytesPerSecondMax());
            cancellation.check();
            qmp.execute("migrate", Map.of("uri", fdSet.uri(streamOffsetBytes)));
            end = MigrationWatch.await(qmp, cancellation, listener);
        } catch (TorporException e) {
            cleanUp(qmp, settings, fdSet, e);
            throw e;
        }
        Duration duration = Duration.ofNanos(System.nanoTime() - began);
        awaitLetGo(qmp, end);
        try {
            MigrationWatch.awaitCleanUp(qmp, end);
        } catch (TorporException e) {
            cleanUp(qmp, settings, fdSet, e);
            throw e;
        }
        putBack(qmp, settings, fdSet);
        cancellation.check();
        return switch (end) {
            case MigrationWatch.End.Completed(JsonNode statistics) -> {
                requirePaused(qmp);
                yield report(statistics, duration, Optional.empty());
            }
            case MigrationWatch.End.Failed(String description) ->
                throw new TorporException(
                        StoreTrouble.reasonOf(description).orElse(FailureReason.SaveFailed),
                        "QEMU could not save: " + description);
            case MigrationWatch.End.None() ->
                throw new TorporException(FailureReason.SaveFailed, "QEMU knows of no save that we began");
        };
    }

    static void requirePaused(QmpClient qmp) throws TorporException {
        if (Guest.runState(qmp).running()) {
            throw new TorporException(
                    FailureReason.SaveFailed,
                    "somebody else let the guest run during the save: the image is of no moment");
        }
    }

    static SaveReport report(JsonNode statistics, Duration duration, Optional<ChannelLayout> channels) {
        JsonNode ram = statistics.path("ram");
        return new SaveReport(ram.path("normal").asLong(), ram.path("total").asLong(), duration, channels);
    }

    /**
     * Has a QEMU that was started with {@code -incoming defer} load an image. Does not let the guest run. One try for each
     * process: after a failure it can only be ended.
     *
     * @param files O_RDONLY, and with direct I/O a second one O_RDONLY|O_DIRECT from an open of its own; their contents
     *     and length must have been checked, as a truncated file kills QEMU
     * @throws TorporException LoadFailed with QEMU's reason, QEMUGone, QMPTimeout, Cancelled, DeadlineExceeded; after each of them that process is to be ended
     */
    public static LoadReport load(
            QmpClient qmp,
            VmFacts target,
            List<Descriptor> files,
            long streamOffsetBytes,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        LoadReport report = feed(qmp, target, files, streamOffsetBytes, cancellation, listener);
        settle(qmp);
        return report;
    }

    /**
     * Loads like {@link #load}, but leaves our settings and descriptors with QEMU, so that its guest need not wait for
     * that: {@link #settle} takes them back, once it runs.
     */
    public static LoadReport feed(
            QmpClient qmp,
            VmFacts target,
            List<Descriptor> files,
            long streamOffsetBytes,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        requireCapabilities(target);
        boolean directIO = files.size() == 2;
        int channels = channels(SaveOptions.DEFAULT);
        requireDescriptors(target, channels);
        MigrationSettings settings = MigrationSettings.read(qmp);
        long began = System.nanoTime();
        FdSet fdSet = FdSet.add(qmp, files, directIO, false, settings.note());
        try {
            set(qmp, settings, channels, directIO, 0);
            cancellation.check();
            qmp.execute(incoming(settings, fdSet, streamOffsetBytes));
        } catch (TorporException e) {
            cleanUp(qmp, settings, fdSet, e);
            throw e;
        }
        MigrationWatch.End end = MigrationWatch.awaitLoad(qmp, cancellation, listener, () -> {});
        Duration duration = Duration.ofNanos(System.nanoTime() - began);
        return loaded(end, channels, directIO, duration);
    }

    /**
     * Feeds the shadow of an image that QEMU has mapped: little enough for the main channel alone, and all commands for it are
     * sent at once, as a guest waits. Like {@link #feed} otherwise.
     */
    public static LoadReport feedShadow(
            QmpClient qmp, ResumeTarget target, Descriptor shadow, long streamOffsetBytes, Cancellation cancellation)
            throws TorporException {
        requireCapabilities(target.facts());
        requireDescriptors(target.facts(), 0);
        MigrationSettings settings =
                target.settings().isPresent() ? target.settings().get() : MigrationSettings.read(qmp);
        FdSet fdSet = FdSet.chooseToLoad(shadow);
        boolean compresses = !settings.isSet(MultifdStreamEngine.COMPRESSION, "none");
        List<QmpCommand> commands = new ArrayList<>();
        commands.add(fdSet.adding(settings.note(compresses ? Set.of(MultifdStreamEngine.COMPRESSION) : Set.of())));
        if (compresses) {
            commands.add(NO_COMPRESSION);
        }
        settings.enablingOnly(capabilities(settings, Set.of(MAPPED_RAM))).ifPresent(commands::add);
        commands.add(incoming(settings, fdSet, streamOffsetBytes));
        commands.add(MigrationWatch.QUESTION);
        cancellation.check();
        long began = System.nanoTime();
        try {
            List<QmpAnswer> answers = qmp.executeAll(commands, shadow);
            for (QmpAnswer answer : answers) {
                var _ = answer.value();
            }
            Optional<MigrationWatch.End> atOnce =
                    MigrationWatch.end(answers.getLast().value());
            if (atOnce.isPresent()) {
                return loaded(atOnce.get(), 0, false, Duration.ofNanos(System.nanoTime() - began));
            }
        } catch (TorporException e) {
            cleanUp(qmp, settings, fdSet, e);
            throw e;
        }
        MigrationWatch.End end = MigrationWatch.awaitLoad(qmp, cancellation, (_, _) -> {}, () -> {});
        return loaded(end, 0, false, Duration.ofNanos(System.nanoTime() - began));
    }

    private static QmpCommand incoming(MigrationSettings settings, FdSet fdSet, long streamOffsetBytes) {
        Map<String, Object> arguments = new LinkedHashMap<>();
        arguments.put("uri", fdSet.uri(streamOffsetBytes));
        // Like direct-io since 9.1; without it QEMU 9.0 exits on failure, which we see as QEMUGone.
        if (settings.hasParameter(DIRECT_IO)) {
            arguments.put("exit-on-error", false);
        }
        return new QmpCommand("migrate-incoming", arguments);
    }

    private static Set<String> capabilities(MigrationSettings settings, Set<String> wanted) {
        Set<String> all = new HashSet<>(wanted);
        if (settings.hasCapability(MigrationWatch.EVENTS)) {
            all.add(MigrationWatch.EVENTS);
        }
        return all;
    }

    private static LoadReport loaded(MigrationWatch.End end, int channels, boolean directIO, Duration duration)
            throws TorporException {
        return switch (end) {
            case MigrationWatch.End.Completed(JsonNode _) -> new LoadReport(channels, directIO, duration);
            case MigrationWatch.End.Failed(String description) ->
                throw new TorporException(
                        FailureReason.LoadFailed,
                        "QEMU could not load the image: " + description + " (its own output may say more)");
            case MigrationWatch.End.None() ->
                throw new TorporException(FailureReason.LoadFailed, "QEMU knows of no load that we began");
        };
    }

    /**
     * After a crash of ours, or after {@link #feed}: waits for a save that may still be running to end, at full speed, and
     * takes our descriptors back, and puts the settings back that we had found. A save whose streams we were recording is given
     * up instead. Does nothing to a QEMU that is at rest. The guest stays as it is.
     */
    public static void settle(QmpClient qmp) throws TorporException {
        Cancellation liftsTheLimit = new Cancellation();
        liftsTheLimit.request(FailureReason.AgentRestarted, "the agent was restarted during the save");
        boolean streams = MultifdStreamEngine.giveUpOrphan(qmp);
        MigrationWatch.End end = MigrationWatch.await(qmp, liftsTheLimit, (_, _) -> {});
        if (streams) {
            MigrationWatch.awaitCleanUp(qmp, end);
        }
        Optional<MigrationSettings> before =
                FdSet.removeOurs(qmp).map(MultifdStreamEngine::settings).flatMap(MigrationSettings::fromNote);
        if (before.isPresent()) {
            before.get().restore(qmp);
        }
    }

    static void requireCapabilities(VmFacts vm) throws TorporException {
        Set<String> missing = new LinkedHashSet<>(CAPABILITIES);
        missing.removeAll(vm.capabilities());
        if (!missing.isEmpty()) {
            throw new TorporException(
                    FailureReason.CapabilityMissing,
                    "QEMU " + vm.definition().qemuVersion() + " lacks " + String.join(" and ", missing)
                            + ": the engine " + NAME + " needs QEMU 9.0 or newer");
        }
    }

    static int channels(SaveOptions options) throws TorporException {
        int chosen = Math.clamp(Runtime.getRuntime().availableProcessors(), CHANNELS_CHOSEN_MIN, CHANNELS_CHOSEN_MAX);
        int channels = options.channels().orElse(chosen);
        if (channels < 1 || channels > CHANNELS_MAX) {
            throw new TorporException(
                    FailureReason.ChannelsOutOfRange,
                    channels + " channels were asked for: give a number from 1 to " + CHANNELS_MAX);
        }
        return channels;
    }

    static void requireDescriptors(VmFacts vm, int channels) throws TorporException {
        long needed = (long) channels + DESCRIPTORS_SPARE;
        long left = vm.descriptorsLeft().orElse(Long.MAX_VALUE);
        if (left < needed) {
            throw new TorporException(
                    FailureReason.DescriptorLimit,
                    channels + " channels need " + needed + " descriptors and QEMU may open " + left
                            + " more: give fewer channels or raise the container's limit of open files");
        }
    }

    private static boolean directIO(VmFacts vm, DirectIO wanted, boolean storeHasIt) throws TorporException {
        return directIO(wanted, storeHasIt, vm.parameters().contains(DIRECT_IO));
    }

    static boolean directIO(DirectIO wanted, boolean storeHasIt, boolean engineHasIt) throws TorporException {
        boolean possible = storeHasIt && engineHasIt;
        return switch (wanted) {
            case OFF -> false;
            case AUTO -> possible;
            case REQUIRED -> {
                if (!possible) {
                    throw new TorporException(
                            FailureReason.DirectIOUnsupported,
                            "direct I/O was required and "
                                    + (storeHasIt ? "this QEMU" : "the store's file system")
                                    + " does not have it: leave directIO out to save through the page cache");
                }
                yield true;
            }
        };
    }

    private static void set(
            QmpClient qmp, MigrationSettings settings, int channels, boolean directIO, long bandwidthBytesPerSecond)
            throws TorporException {
        if (!settings.isSet(MultifdStreamEngine.COMPRESSION, "none")) {
            qmp.execute(NO_COMPRESSION);
        }
        settings.enableOnly(qmp, capabilities(settings, CAPABILITIES));
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("multifd-channels", channels);
        // Without this, defaults of old times throttle to 128 MiB/s.
        parameters.put("max-bandwidth", bandwidthBytesPerSecond);
        if (settings.hasParameter(DIRECT_IO)) {
            parameters.put(DIRECT_IO, directIO);
        }
        if (settings.hasParameter("zero-page-detection")) {
            parameters.put("zero-page-detection", "multifd");
        }
        qmp.execute("migrate-set-parameters", parameters);
    }

    /**
     * Waits until QEMU has let go of a save that it says is complete: it says so before it closes its channels, and keeps
     * them open for ever if multifd is turned off in between (multifd_send_shutdown of 10.0). The run state changes, and the
     * closing is due, in one step of its main loop; the question after that is answered by a later one.
     */
    static void awaitLetGo(QmpClient qmp, MigrationWatch.End end) throws TorporException {
        if (!(end instanceof MigrationWatch.End.Completed)) {
            return;
        }
        long until = System.nanoTime() + LET_GO_NANOS_MAX;
        RunState state = Guest.runState(qmp);
        while (!state.savedAndNotRunSince() && !state.running() && System.nanoTime() < until) {
            LockSupport.parkNanos(LET_GO_LOOK_NANOS);
            state = Guest.runState(qmp);
        }
        var _ = Guest.runState(qmp);
    }

    // The settings first: as long as the set is there, settle() can put them back.
    static void putBack(QmpClient qmp, MigrationSettings settings, FdSet fdSet) throws TorporException {
        try {
            settings.restore(qmp);
        } finally {
            fdSet.remove(qmp);
        }
    }

    static void cleanUp(QmpClient qmp, MigrationSettings settings, FdSet fdSet, TorporException because) {
        if (because.reason() == FailureReason.QEMUGone
                || because.reason() == FailureReason.QMPTimeout
                || because.reason() == FailureReason.AgentRestarted) {
            return; // nobody to talk to, or still at work: settle() is for later
        }
        try {
            putBack(qmp, settings, fdSet);
        } catch (TorporException e) {
            because.addSuppressed(e);
        }
    }
}
