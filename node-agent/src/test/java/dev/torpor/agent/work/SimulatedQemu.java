package dev.torpor.agent.work;

import dev.torpor.agent.engine.Cancellation;
import dev.torpor.agent.engine.LoadReport;
import dev.torpor.agent.engine.MappedMemory;
import dev.torpor.agent.engine.ProgressListener;
import dev.torpor.agent.engine.ResumeTarget;
import dev.torpor.agent.engine.RunState;
import dev.torpor.agent.engine.SavePlan;
import dev.torpor.agent.engine.SaveReport;
import dev.torpor.agent.engine.VmFacts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.SampleGuest;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/** The QEMU of the simulated VM as the agent of one node reaches it. Its memory goes through the files that the agent gives. */
final class SimulatedQemu implements Vm.Vms {
    private final SimulatedWorld world;
    private final SimulatedWorld.Host host;

    SimulatedQemu(SimulatedWorld world, SimulatedWorld.Host host) {
        this.world = world;
        this.host = host;
    }

    @Override
    public Vm connect(String podUID) throws TorporException {
        call();
        SimulatedWorld.Pod pod = world.pod;
        if (pod == null || pod.node != host || !pod.uid.equals(podUID) || !pod.hasQemu()) {
            throw new TorporException(FailureReason.SocketMissing, "there is no socket");
        }
        return new Connection(pod, pod.container);
    }

    @Override
    public boolean saysAllIsRead(String podUID) {
        return false;
    }

    @Override
    public boolean isAsking(String podUID) {
        return false;
    }

    @Override
    public boolean isAlive(ProcessIdentity process) {
        SimulatedWorld.Pod pod = world.pod;
        return pod != null && pod.node == host && pod.hasQemu() && identity(pod).equals(process);
    }

    private ProcessIdentity identity(SimulatedWorld.Pod pod) {
        return world.has(SimulatedWorld.Guard.WHICH_PROCESS)
                ? new ProcessIdentity(pod.uid, pod.container, host.boot, 1, 1)
                : new ProcessIdentity(pod.uid, "a container", "a boot", 1, 1);
    }

    private void call() throws TorporException {
        world.meanwhile();
        Optional<SimulatedTrouble.Kind> trouble = host.trouble.at(SimulatedTrouble.Place.MONITOR);
        if (trouble.equals(Optional.of(SimulatedTrouble.Kind.MONITOR_DEAF))) {
            throw new TorporException(FailureReason.QMPTimeout, "no answer in time");
        }
        if (trouble.isPresent() && world.pod != null && world.pod.node == host) {
            world.endGuest();
        }
    }

    private final class Connection implements Vm {
        private final SimulatedWorld.Pod pod;
        private final String container;
        private final ProcessIdentity identity;
        private final Thread owner = Thread.currentThread();
        private final CountDownLatch handOverPrepared = new CountDownLatch(1);
        private volatile boolean others;

        Connection(SimulatedWorld.Pod pod, String container) {
            this.pod = pod;
            this.container = container;
            this.identity = identity(pod);
        }

        private void call() throws TorporException {
            SimulatedQemu.this.call();
            if (world.pod != pod || !pod.container.equals(container) || !pod.hasQemu()) {
                throw new TorporException(FailureReason.QEMUGone, "QEMU has ended");
            }
        }

        @Override
        public ProcessIdentity process() {
            if (Thread.currentThread() != owner) {
                others = true;
                Thread thread = Thread.currentThread();
                preparing = thread;
                handOverPrepared.countDown();
            }
            return identity;
        }

        private volatile Thread preparing = Thread.currentThread();

        /** What is written ahead on a thread of its own is done here, so that a seed always does the same. */
        private void awaitPreparation() {
            try {
                handOverPrepared.await();
                if (others) {
                    preparing.join();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IllegalStateException(e);
            }
        }

        @Override
        public VmFacts probe() throws TorporException {
            call();
            return facts();
        }

        private VmFacts facts() {
            boolean fed = pod.fed && world.has(SimulatedWorld.Guard.ONE_FEED_FOR_EACH_PROCESS);
            return new VmFacts(
                    SampleGuest.definition(),
                    Set.of("mapped-ram", "multifd"),
                    Set.of(),
                    state(),
                    fed ? "completed" : "none",
                    List.of(),
                    OptionalLong.empty());
        }

        private RunState state() {
            return switch (pod.guest) {
                case RUNNING -> new RunState("running", true);
                case INCOMING -> new RunState("inmigrate", false);
                default -> new RunState(pod.savedToEnd ? "postmigrate" : "paused", false);
            };
        }

        @Override
        public Optional<PauseBudget> pauseBudget() {
            return Optional.empty();
        }

        @Override
        public OptionalLong residentBytes() {
            return OptionalLong.empty();
        }

        @Override
        public List<String> blockedReasons() throws TorporException {
            call();
            return List.of();
        }

        @Override
        public RunState runState() throws TorporException {
            call();
            return state();
        }

        @Override
        public void pause() throws TorporException {
            call();
            if (pod.guest == SimulatedWorld.Guest.RUNNING) {
                pod.guest = SimulatedWorld.Guest.PAUSED;
                pod.savedToEnd = false;
            }
        }

        @Override
        public void resume() throws TorporException {
            call();
            world.resume(pod);
        }

        @Override
        public void quit() throws TorporException {
            call();
            world.endGuest();
        }

        @Override
        public void pressPowerButton() {
            throw new AssertionError("nothing is shut down");
        }

        @Override
        public void announce() throws TorporException {
            call();
        }

        @Override
        public Optional<GuestAgentClient> guestAgent(Duration deadline) {
            return Optional.empty();
        }

        @Override
        public List<VmDisks.DiskFile> disks(List<VmDisks.Claim> claims) throws TorporException {
            call();
            return List.of();
        }

        @Override
        public void activateDisks() throws TorporException {
            call();
        }

        @Override
        public SaveReport save(SavePlan plan, ImageFiles files, Cancellation cancellation, ProgressListener listener)
                throws TorporException {
            call();
            if (pod.guest != SimulatedWorld.Guest.PAUSED) {
                throw new TorporException(FailureReason.SaveFailed, "the guest is not paused");
            }
            byte[] memory = ByteBuffer.allocate(8)
                    .putInt(pod.memory)
                    .putInt(world.disks)
                    .array();
            try {
                for (Map.Entry<Long, byte[]> part : SampleGuest.parts(memory).entrySet()) {
                    files.buffered().write(ByteBuffer.wrap(part.getValue()), part.getKey());
                    call();
                    cancellation.check();
                }
            } catch (IOException e) {
                throw new TorporException(FailureReason.SaveFailed, "QEMU cannot write", e);
            }
            pod.savedToEnd = true;
            world.written(files.buffered().toString(), pod);
            return new SaveReport(SampleGuest.pages(), 2 << 20, Duration.ZERO);
        }

        @Override
        public ResumeTarget target(ImageLayout layout, String path) throws TorporException {
            awaitPreparation();
            call();
            return new ResumeTarget(facts(), Set.of(), Optional.empty(), Optional.empty());
        }

        @Override
        public void compare(ResumeTarget target, MappedMemory.Samples samples) {
            throw new AssertionError("nothing is mapped");
        }

        @Override
        public LoadReport load(
                VmFacts target,
                CommittedImage image,
                ImageFiles files,
                Cancellation cancellation,
                ProgressListener listener)
                throws TorporException {
            call();
            if (pod.fed) {
                throw world.broken("I2: a process is fed twice");
            }
            pod.fed = true;
            ByteBuffer memory = ByteBuffer.allocate(8);
            try {
                int n = files.buffered().read(memory, SampleGuest.memoryAt());
                if (n < memory.capacity()) {
                    throw new TorporException(FailureReason.LoadFailed, "the image ends");
                }
            } catch (IOException e) {
                throw new TorporException(FailureReason.LoadFailed, "QEMU cannot read", e);
            }
            world.loaded(pod, image.id().uid(), memory.flip());
            call();
            if (!world.has(SimulatedWorld.Guard.GUEST_WAITS_FOR_THE_HAND_OVER)) {
                world.resume(pod);
            }
            return new LoadReport(1, false, Duration.ZERO);
        }

        @Override
        public void loadShadow(ResumeTarget target, ImageFiles shadow, Cancellation cancellation) {
            throw new AssertionError("nothing is mapped");
        }

        @Override
        public void settle() throws TorporException {
            call();
        }

        @Override
        public void hasten() {}

        @Override
        public void close() {}
    }
}
