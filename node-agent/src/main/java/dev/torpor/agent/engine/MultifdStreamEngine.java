package dev.torpor.agent.engine;

import com.fasterxml.jackson.databind.JsonNode;
import dev.torpor.agent.image.ChannelLayout;
import dev.torpor.agent.image.ChannelReader;
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageStore;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.UnixListener;
import dev.torpor.agent.qmp.QmpClient;
import dev.torpor.agent.qmp.QmpCommandException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;

/**
 * Records and plays QEMU's ordinary parallel migration: every QEMU since 4.0 has {@code multifd}, with compression since 5.0.
 * We are the other end of its channels ({@link StreamRecorder}, {@link StreamPlayer}), and the image holds their streams
 * ({@link ChannelLayout}). It can be loaded as it was saved only: with as many channels, compressed alike, which the image
 * knows.
 *
 * <p>The order of a save is that of {@link QemuDirectEngine}. Here, too, nothing is cancelled: a wish to end lifts the limit of
 * bandwidth, what QEMU sends is dropped, and it is done as fast as it can send.
 */
public final class MultifdStreamEngine {
    /** Most channels: of each we hold 1 MiB. */
    public static final int CHANNELS_MAX = 32;

    /**
     * Channels of a save of a QEMU before 5.1, which dies in one that has fewer than one before it had: it begins with the
     * channel that it left off at (multifd_send_pages; "migration: fix multifd_send_pages() next channel" of June 2020; tried
     * with 4.2). As many as it has by itself, in case somebody else had it send.
     */
    static final int CHANNELS_OF_OLD = 2;

    /** A parameter that has come with 5.1, and so with that mend. */
    private static final String SINCE_5_1 = "cpu-throttle-tailslow";

    /** What our note begins with, before the settings. */
    private static final String NOTE = "streams ";

    private static final String MULTIFD = "multifd";
    static final String COMPRESSION = "multifd-compression";
    // What QEMU needs to close channels of which all is sent; ten times that of a loaded machine.
    private static final Duration LET_GO_PATIENCE = Duration.ofSeconds(10);
    /**
     * For all that QEMU is still asked once we hung up on it in the middle of its load: more often than not its main loop waits
     * for ever for the channels' threads then (tried on 10.0.2), and it is to be ended in any case. The image is at fault, not it.
     */
    public static final Duration SPENT_PATIENCE = Duration.ofSeconds(5);

    private static final long BEGIN_LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(2);
    private static final String SENT = "multifd-bytes";
    private static final String SWITCHOVER_ACK = "switchover-ack"; // QEMU 8.1
    private static final int BACKLOG = 64;
    /** Bytes with which each channel but the main one begins (MultiFDInit_t); QEMU before 8.1 does not count them. */
    private static final long CHANNEL_HEAD_BYTES = 64;

    private MultifdStreamEngine() {}

    /**
     * Decides how a VM will be saved, or why it cannot be. Touches nothing. The channels are those that were asked for, but of a
     * QEMU before 5.1 {@link #CHANNELS_OF_OLD}.
     *
     * @throws TorporException CapabilityMissing, MigrationBlocked, VMNotRunning, ChannelsOutOfRange, DescriptorLimit,
     *     DirectIOUnsupported, NotEnoughSpace
     */
    static SavePlan plan(VmFacts vm, SaveOptions options, QemuDirectEngine.StoreFacts store) throws TorporException {
        requireCapabilities(vm);
        requireCompression(vm, options.compression());
        QemuDirectEngine.requireMigratable(vm.blockedReasons());
        QemuDirectEngine.requireRunSinceLastSave(vm.runState());
        int channels = channels(vm, options);
        QemuDirectEngine.requireDescriptors(vm, channels + 1);
        long memoryBytes = QemuDirectEngine.memoryBytes(vm);
        SavePlan plan = new SavePlan(
                Engine.MULTIFD_STREAM,
                channels,
                options.compression(),
                QemuDirectEngine.directIO(options.directIO(), store.directIO(), true),
                options.bandwidthBytesPerSecondMax(),
                memoryBytes);
        ImageStore.requireRoom(plan.imageBytesMax(), store.freeBytes());
        return plan;
    }

    private static int channels(VmFacts vm, SaveOptions options) throws TorporException {
        if (!vm.parameters().contains(SINCE_5_1)) {
            return CHANNELS_OF_OLD;
        }
        int wanted = QemuDirectEngine.channels(options);
        if (wanted > CHANNELS_MAX) {
            throw new TorporException(
                    FailureReason.ChannelsOutOfRange,
                    wanted + " channels were asked for: the engine " + Engine.MULTIFD_STREAM.word() + " has 1 to "
                            + CHANNELS_MAX);
        }
        return wanted;
    }

    static void requireCapabilities(VmFacts vm) throws TorporException {
        if (!vm.capabilities().contains(MULTIFD)) {
            throw new TorporException(
                    FailureReason.CapabilityMissing,
                    "QEMU " + vm.definition().qemuVersion() + " lacks " + MULTIFD + ": the engine "
                            + Engine.MULTIFD_STREAM.word() + " needs QEMU 4.0 or newer");
        }
    }

    private static void requireCompression(VmFacts vm, Compression compression) throws TorporException {
        if (compression.method() != Compression.Method.NONE && !vm.parameters().contains(COMPRESSION)) {
            throw cannotCompress(vm.definition().qemuVersion(), compression, "it takes QEMU 5.0 or newer");
        }
    }

    private static TorporException cannotCompress(String version, Compression compression, String why) {
        return new TorporException(
                FailureReason.CapabilityMissing,
                "QEMU " + version + " cannot compress with "
                        + compression.method().word() + ": " + why);
    }

    /**
     * Has QEMU send the paused VM's memory and device state, and records it.
     *
     * @param files for writing, and with direct I/O a second one for that
     * @param folder where the socket is made
     * @throws TorporException what {@link QemuDirectEngine#save} throws; NotEnoughSpace; StoreFailed, also before QEMU is told
     *     to save, if there is no memory now; SaveFailed also if what
     *     came is not what QEMU says that it sent
     */
    static SaveReport save(
            QmpClient qmp,
            SavePlan plan,
            ImageFiles files,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        String uuid = qmp.execute("query-uuid").path("UUID").asText();
        try (Directory directory = folder.opener().open();
                UnixListener socket = UnixListener.listen(directory, folder.socketName(), BACKLOG);
                StreamRecorder recorder = new StreamRecorder(
                        socket, qmp.peer(), uuid, files, plan.channels(), bytesMax(plan), cancellation)) {
            recorder.start();
            return save(qmp, plan, folder.uri(), recorder, cancellation, listener);
        } catch (IOException e) {
            throw new TorporException(
                    FailureReason.SaveFailed, "the VM's folder has no place for a socket: " + e.getMessage(), e);
        }
    }

    /** Most that a save can send: QEMU 4.2 sends some pages twice (tried); the rest are headers, and device state. */
    private static long bytesMax(SavePlan plan) {
        return 2 * plan.memoryBytes() + ImageStore.SPACE_BESIDE_BYTES;
    }

    private static SaveReport save(
            QmpClient qmp,
            SavePlan plan,
            String uri,
            StreamRecorder recorder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        MigrationSettings settings = MigrationSettings.read(qmp);
        long began = System.nanoTime();
        FdSet note = FdSet.keep(qmp, NOTE + settings.note());
        MigrationWatch.End end;
        Duration duration;
        long sentBefore;
        try {
            set(qmp, settings, plan.channels(), plan.compression(), plan.bandwidthBytesPerSecondMax());
            cancellation.check();
            sentBefore = qmp.execute("query-migrate").path("ram").path(SENT).asLong();
            qmp.execute("migrate", Map.of("uri", uri));
            end = MigrationWatch.await(qmp, cancellation, listener);
            duration = Duration.ofNanos(System.nanoTime() - began);
            // It says how it went before it closes its channels, and settings must stay until then. If it never does,
            // the next wait for the same says so.
            var _ = recorder.awaitEnd(LET_GO_PATIENCE, end instanceof MigrationWatch.End.Completed);
            QemuDirectEngine.awaitLetGo(qmp, end);
            MigrationWatch.awaitCleanUp(qmp, end);
        } catch (TorporException e) {
            QemuDirectEngine.cleanUp(qmp, settings, note, e);
            throw e;
        }
        QemuDirectEngine.putBack(qmp, settings, note);
        cancellation.check();
        recorder.check();
        return switch (end) {
            case MigrationWatch.End.Completed(JsonNode statistics) -> {
                QemuDirectEngine.requirePaused(qmp);
                ChannelLayout layout = recorder.finish(plan.compression(), LET_GO_PATIENCE);
                if (plan.compression().method() == Compression.Method.NONE || settings.hasCapability(SWITCHOVER_ACK)) {
                    requireAllOf(statistics.path("ram").path(SENT).asLong(), sentBefore, layout, settings);
                }
                yield QemuDirectEngine.report(statistics, duration, Optional.of(layout));
            }
            case MigrationWatch.End.Failed(String description) ->
                throw new TorporException(FailureReason.SaveFailed, "QEMU could not save: " + description);
            case MigrationWatch.End.None() ->
                throw new TorporException(FailureReason.SaveFailed, "QEMU knows of no save that we began");
        };
    }

    /**
     * QEMU counts what it sends over the channels beside the main one; all of that must have come. Before 8.1 it counts on from
     * one save to the next, and pages as they were before they were compressed: of those saves nothing can be compared. QEMU 4.2, which
     * cannot compress, sends more than it counts, pages twice by the look of it: there it is the least that must have come (tried: up to 3 % more, and
     * memory was the same after each of 15 loads).
     */
    static void requireAllOf(long sent, long sentBefore, ChannelLayout layout, MigrationSettings settings)
            throws TorporException {
        long channels = layout.lengthsBytes().size() - 1L;
        long came = layout.totalBytes() - layout.lengthsBytes().getFirst();
        Set<Long> honest = new HashSet<>();
        for (long counted : new long[] {sent, sent - sentBefore}) {
            honest.add(counted);
            honest.add(counted + channels * CHANNEL_HEAD_BYTES);
        }
        boolean all = settings.hasParameter(COMPRESSION) ? honest.contains(came) : came >= sent;
        if (!all) {
            throw new TorporException(
                    FailureReason.SaveFailed,
                    "QEMU says that it sent " + sent + " bytes over its channels, and " + came + " came");
        }
    }

    /**
     * Feeds an image to a QEMU that was started with {@code -incoming defer}; {@link QemuDirectEngine#settle} takes our
     * settings back once there is time. Does not let the guest run. One try for each process. A QEMU before 9.1 ends when its
     * load fails.
     *
     * @param files of the image, for reading, and with direct I/O a second one for that
     * @param folder where QEMU makes the socket
     * @throws TorporException LoadFailed with QEMU's reason, QEMUGone, QMPTimeout, Cancelled, DeadlineExceeded; ImageDamaged,
     *     ImageTruncated if that shows only now; StoreFailed also, before QEMU is asked anything, if there is no memory now
     */
    static LoadReport feed(
            QmpClient qmp,
            VmFacts target,
            ChannelLayout layout,
            ImageFiles files,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        if (layout.lengthsBytes().size() > 1) {
            requireCapabilities(target);
        }
        requireCompression(target, layout.compression());
        int channels = layout.lengthsBytes().size() - 1;
        QemuDirectEngine.requireDescriptors(target, channels + 1);
        try (Directory directory = folder.opener().open()) {
            var _ = directory.unlink(folder.socketName());
            ChannelReader reader = ChannelReader.open(files, layout);
            try (StreamPlayer player = new StreamPlayer(reader, () -> qmp.hasten(SPENT_PATIENCE))) {
                player.prepare();
                MigrationSettings settings = MigrationSettings.read(qmp);
                long began = System.nanoTime();
                FdSet note = FdSet.keep(qmp, NOTE + settings.note());
                MigrationWatch.End end;
                try {
                    set(qmp, settings, channels, layout.compression(), 0);
                    cancellation.check();
                    listen(qmp, settings, folder);
                } catch (TorporException e) {
                    QemuDirectEngine.cleanUp(qmp, settings, note, e);
                    throw e;
                }
                try {
                    end = play(qmp, player, directory, folder, cancellation, listener);
                } catch (TorporException e) {
                    player.check(); // hung up on by us, QEMU fails, or ends
                    throw e;
                }
                player.check();
                return switch (end) {
                    case MigrationWatch.End.Completed(JsonNode _) ->
                        new LoadReport(
                                Math.max(1, channels),
                                files.direct().isPresent(),
                                Duration.ofNanos(System.nanoTime() - began));
                    case MigrationWatch.End.Failed(String description) ->
                        throw new TorporException(
                                FailureReason.LoadFailed,
                                "QEMU could not load the image: " + description + " (its own output may say more)");
                    case MigrationWatch.End.None() ->
                        throw new TorporException(FailureReason.LoadFailed, "QEMU knows of no load that we began");
                };
            } finally {
                var _ = directory.unlink(folder.socketName());
            }
        } catch (IOException e) {
            throw new TorporException(
                    FailureReason.LoadFailed, "the image, or the VM's folder, cannot be read: " + e.getMessage(), e);
        }
    }

    private static void listen(QmpClient qmp, MigrationSettings settings, MigrationFolder folder)
            throws TorporException, IOException {
        Map<String, Object> arguments = new LinkedHashMap<>();
        arguments.put("uri", folder.uri());
        if (settings.hasParameter("direct-io")) { // like exit-on-error since 9.1
            arguments.put("exit-on-error", false);
        }
        qmp.execute("migrate-incoming", arguments);
    }

    private static MigrationWatch.End play(
            QmpClient qmp,
            StreamPlayer player,
            Directory directory,
            MigrationFolder folder,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        player.start(directory, folder.socketName(), qmp.peer(), LET_GO_PATIENCE);
        awaitBegin(qmp, player, cancellation);
        return MigrationWatch.awaitLoad(qmp, cancellation, (_, _) -> {}, () -> {
            // Its main loop may hang once a channel is cut off, so that it can tell us no more.
            player.check();
            // An incoming QEMU does not say how far it is.
            listener.progress(player.sentBytes(), player.totalBytes());
        });
    }

    /**
     * After a crash of ours: has a QEMU give up a save of which nobody takes the streams any more. It notices that itself
     * and fails, or waits for ever. Only here is migrate_cancel of use, and only because QEMU writes to sockets and not to a
     * file.
     *
     * @return whether there are things of ours at that QEMU that are of a save or load of streams
     */
    static boolean giveUpOrphan(QmpClient qmp) throws TorporException {
        List<String> notes = FdSet.notes(qmp);
        boolean ours = notes.stream().anyMatch(note -> note.startsWith(NOTE));
        if (ours && MigrationWatch.isUnderWay(qmp) && !writesItself(qmp, notes)) {
            qmp.execute("migrate_cancel");
        }
        return ours;
    }

    // Notes of both engines: one was left from before, and QEMU's order does not tell which.
    private static boolean writesItself(QmpClient qmp, List<String> notes) throws TorporException {
        return notes.stream().anyMatch(note -> !note.startsWith(NOTE))
                && MigrationSettings.read(qmp).isOn(QemuDirectEngine.MAPPED_RAM);
    }

    /** Returns the settings in our note, whoever made it. */
    static String settings(String note) {
        return note.startsWith(NOTE) ? note.substring(NOTE.length()) : note;
    }

    /** QEMU before 8.0 says nothing of a load before it has all channels. */
    private static void awaitBegin(QmpClient qmp, StreamPlayer player, Cancellation cancellation)
            throws TorporException {
        long until = System.nanoTime() + LET_GO_PATIENCE.toNanos();
        while (!MigrationWatch.isBegun(qmp)) {
            player.check();
            cancellation.check();
            if (System.nanoTime() > until) {
                throw new TorporException(
                        FailureReason.LoadFailed, "QEMU was given all channels, and does not begin to load");
            }
            LockSupport.parkNanos(BEGIN_LOOK_NANOS);
        }
    }

    private static void set(
            QmpClient qmp,
            MigrationSettings settings,
            int channels,
            Compression compression,
            long bandwidthBytesPerSecond)
            throws TorporException {
        // An ordinary stream of one channel: nothing but that may be on, and there is nothing to set.
        Set<String> wanted = new HashSet<>(channels == 0 ? Set.of() : Set.of(MULTIFD));
        if (settings.hasCapability(MigrationWatch.EVENTS)) {
            wanted.add(MigrationWatch.EVENTS);
        }
        settings.enableOnly(qmp, wanted);
        if (channels == 0) {
            return;
        }
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("multifd-channels", channels);
        parameters.put("max-bandwidth", bandwidthBytesPerSecond);
        if (settings.hasParameter(COMPRESSION)) {
            parameters.put(COMPRESSION, compression.method().word());
            compression
                    .level()
                    .ifPresent(level ->
                            parameters.put("multifd-" + compression.method().word() + "-level", level));
        }
        if (settings.hasParameter("zero-page-detection")) {
            parameters.put("zero-page-detection", "multifd");
        }
        try {
            qmp.execute("migrate-set-parameters", parameters);
        } catch (QmpCommandException e) {
            if (compression.method() == Compression.Method.NONE) {
                throw e;
            }
            TorporException refused = cannotCompress(qmp.version(), compression, "it says " + e.getMessage());
            refused.addSuppressed(e);
            throw refused;
        }
    }
}
