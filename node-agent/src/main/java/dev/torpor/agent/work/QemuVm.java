package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.Disks;
import dev.torpor.agent.engine.Engines;
import dev.torpor.agent.engine.Guest;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.MigrationFolder;
import dev.torpor.agent.engine.MultifdStreamEngine;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.QemuDirectEngine;
import dev.torpor.agent.engine.QemuProbe;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.engine.RunState;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageHeader;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.launch.MalformedAskException;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.Proc;
import dev.torpor.agent.node.GuestChannel;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.agent.node.PodVolumes;
import dev.torpor.agent.node.VmMonitor;
import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.agent.qmp.GuestAgentException;
import dev.torpor.agent.qmp.QmpLimits;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** A real QEMU, by the monitor in its pod's volume. */
record QemuVm(VmMonitor monitor, PodDirectories pods, PodVolumes volumes, Map<String, PauseBudget> budgets)
        implements Vm {
    // The launcher makes it.
    private static final String ALL_READ = "read-ahead.done";

    /**
     * The QEMUs in the pods of this node.
     *
     * @param budgets by the UID of the pod, of pods that have one
     */
    record OfNode(PodDirectories pods, PodVolumes volumes, Map<String, PauseBudget> budgets) implements Vms {
        @Override
        public Vm connect(String podUID) throws TorporException {
            return new QemuVm(VmMonitor.connect(pods, podUID, QmpLimits.DEFAULT), pods, volumes, budgets);
        }

        @Override
        public boolean saysAllIsRead(String podUID) {
            try (Directory volume = pods.volume(podUID)) {
                return volume.facts(ALL_READ).isPresent();
            } catch (IOException e) {
                return false; // the pod is gone
            }
        }

        @Override
        public boolean isAsking(String podUID) {
            try (Directory volume = pods.volume(podUID)) {
                AskDirectory asks = new AskDirectory(volume);
                for (String id : asks.asks()) {
                    if (isOfStart(asks, id) && asks.isAwaited(id)) {
                        return true;
                    }
                }
                return false;
            } catch (IOException e) {
                return false; // the pod is gone
            }
        }

        /** A pod's preStop hook asks too, while its QEMU runs. */
        private static boolean isOfStart(AskDirectory asks, String id) {
            try {
                return asks.read(id) instanceof Ask;
            } catch (MalformedAskException e) {
                return false;
            }
        }

        @Override
        public boolean isAlive(ProcessIdentity process) throws IOException {
            return VmMonitor.isAlive(process);
        }
    }

    @Override
    public ProcessIdentity process() {
        return monitor.process();
    }

    @Override
    public VmFacts probe() throws TorporException {
        return QemuProbe.probe(monitor.qmp());
    }

    @Override
    public Optional<PauseBudget> pauseBudget() {
        return Optional.ofNullable(budgets.get(monitor.process().podUID()));
    }

    @Override
    public OptionalLong residentBytes() {
        try {
            return OptionalLong.of(Proc.residentBytes(monitor.process().pid()));
        } catch (IOException e) {
            return OptionalLong.empty(); // it has just ended: the next command tells
        }
    }

    @Override
    public List<String> blockedReasons() throws TorporException {
        return QemuProbe.blockedReasons(monitor.qmp());
    }

    @Override
    public RunState runState() throws TorporException {
        return Guest.runState(monitor.qmp());
    }

    @Override
    public void pause() throws TorporException {
        var _ = Guest.pause(monitor.qmp());
    }

    @Override
    public void resume() throws TorporException {
        Guest.resume(monitor.qmp());
    }

    @Override
    public void quit() throws TorporException {
        Guest.quit(monitor.qmp());
    }

    @Override
    public void pressPowerButton() throws TorporException {
        Guest.pressPowerButton(monitor.qmp());
    }

    @Override
    public void announce() throws TorporException {
        Guest.announce(monitor.qmp());
    }

    @Override
    public Optional<GuestAgentClient> guestAgent(Duration deadline) throws GuestAgentException {
        return GuestChannel.connect(pods, monitor.process(), deadline);
    }

    @Override
    public List<VmDisks.DiskFile> disks(List<VmDisks.Claim> claims) throws TorporException {
        String podUID = monitor.process().podUID();
        return Disks.writable(monitor.qmp(), file -> volumes.find(podUID, claims, file));
    }

    @Override
    public void activateDisks() throws TorporException {
        Disks.activate(monitor.qmp());
    }

    @Override
    public SaveReport save(SavePlan plan, ImageFiles files, Cancellation cancellation, ProgressListener listener)
            throws TorporException {
        return Engines.save(monitor.qmp(), plan, files, folder(), cancellation, listener);
    }

    private MigrationFolder folder() {
        return new MigrationFolder(() -> pods.volume(monitor.process().podUID()), PodDirectories.PATH_IN_POD);
    }

    @Override
    public ResumeTarget target(ImageLayout layout, String path) throws TorporException {
        return QemuProbe.target(monitor.qmp(), layout, path);
    }

    @Override
    public void compare(ResumeTarget target, MappedMemory.Samples samples) throws TorporException {
        MappedMemory.compare(monitor.qmp(), target, samples);
    }

    @Override
    public LoadReport load(
            VmFacts target,
            CommittedImage image,
            ImageFiles files,
            Cancellation cancellation,
            ProgressListener listener)
            throws TorporException {
        return Engines.feed(monitor.qmp(), target, image, files, folder(), cancellation, listener);
    }

    @Override
    public void loadShadow(ResumeTarget target, ImageFiles shadow, Cancellation cancellation) throws TorporException {
        var _ = QemuDirectEngine.feedShadow(
                monitor.qmp(), target, shadow.buffered(), ImageHeader.STREAM_OFFSET_BYTES, cancellation);
    }

    @Override
    public void settle() throws TorporException {
        QemuDirectEngine.settle(monitor.qmp());
    }

    @Override
    public void hasten() {
        monitor.qmp().hasten(MultifdStreamEngine.SPENT_PATIENCE);
    }

    @Override
    public void close() {
        monitor.close();
    }
}
