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
import dev.torpor.agent.image.Compression;
import dev.torpor.agent.image.ImageFiles;
import dev.torpor.agent.image.ImageLayout;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.image.SampleGuest;
import dev.torpor.agent.image.VmDefinition;
import dev.torpor.agent.image.VmDisks;
import dev.torpor.agent.qmp.GuestAgentClient;
import dev.torpor.agent.qmp.GuestAgentException;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;

/** One VM whose QEMU writes for ever, until it is let: what it is told is recorded. */
final class FakeVms implements Vm.Vms {
    private static final ProcessIdentity PROCESS = new ProcessIdentity("p1", "c1", "boot", 1, 1);

    /** Counted down when QEMU begins to write. */
    final CountDownLatch writing = new CountDownLatch(1);

    final AtomicInteger saves = new AtomicInteger();
    final AtomicInteger connects = new AtomicInteger();
    /** How many more connections are not answered in time. */
    final AtomicInteger deaf = new AtomicInteger();

    final AtomicInteger presses = new AtomicInteger();

    /** Whether a launcher waits in the pod, instead of a QEMU. */
    volatile boolean asking;

    volatile boolean running = true;
    volatile boolean hurried;
    /** Whether QEMU gets done once it is asked to hurry or to give up. */
    volatile boolean obeys = true;

    /** Why no QEMU answers; null if one does. */
    volatile @Nullable FailureReason unreachable;

    final AtomicInteger announced = new AtomicInteger();
    volatile boolean refusesToAnnounce;

    /** Why the guest cannot be let run; null if it can. */
    volatile @Nullable FailureReason refusesToRun;

    /** Why what a load needed is not taken back; null if it is. */
    volatile @Nullable FailureReason refusesToSettle;

    /** Socket of the agent in the guest; null if there is none. */
    volatile @Nullable Path guestAgent;

    /** How long it may be paused; null: nobody minds. */
    volatile @Nullable PauseBudget pauseBudget;

    /** Which process it is that runs. */
    volatile ProcessIdentity process = PROCESS;

    /** Whether that process, and no other, is alive. */
    volatile boolean alive = true;

    final AtomicInteger pauses = new AtomicInteger();

    /** Whether QEMU writes the sample guest and is done, instead of writing for ever. */
    volatile boolean writesSample;

    /** Whether it loads for ever. */
    volatile boolean loadsForEver;

    /** Done as it begins to. */
    volatile Runnable whenItLoads = () -> {};

    /** How it was saved last; null if it never was. */
    volatile @Nullable SavePlan lastPlan;

    /** Parameters of migrations that its QEMU has. */
    volatile Set<String> parameters = Set.of("cpu-throttle-tailslow");

    /** Whether its QEMU was built without any compression, which shows when it is to compress. */
    volatile boolean refusesToCompress;

    /** Why its loads fail; null if they do not. */
    volatile @Nullable TorporException failsToLoad;

    final AtomicInteger quits = new AtomicInteger();

    /** QEMU's word for the guest's state, if it does not run. */
    volatile String stopped = "paused";

    @Override
    public Vm connect(String podUID) throws TorporException {
        FailureReason why = unreachable;
        if (why != null) {
            throw new TorporException(why, "told to be unreachable");
        }
        connects.incrementAndGet();
        if (writing.getCount() == 0 && deaf.getAndUpdate(n -> Math.max(0, n - 1)) > 0) {
            throw new TorporException(FailureReason.QMPTimeout, "told to be deaf");
        }
        return new FakeVm();
    }

    @Override
    public boolean saysAllIsRead(String podUID) {
        return false;
    }

    @Override
    public boolean isAsking(String podUID) {
        return asking;
    }

    @Override
    public boolean isAlive(ProcessIdentity process) {
        return alive && process.equals(this.process);
    }

    private final class FakeVm implements Vm {
        @Override
        public void pressPowerButton() {
            presses.incrementAndGet();
        }

        @Override
        public ProcessIdentity process() {
            return process;
        }

        @Override
        public VmFacts probe() {
            TreeMap<String, Long> blocks = new TreeMap<>();
            blocks.put("pc.ram", 1L << 20);
            VmDefinition vm =
                    new VmDefinition("10.0.2", "pc-q35-10.0", 1, "uuid", "qemu64", "tcg", List.of(), blocks, 1L << 20);
            return new VmFacts(
                    writesSample ? SampleGuest.definition() : vm,
                    Set.of("mapped-ram", "multifd"),
                    parameters,
                    runState(),
                    "none",
                    List.of(),
                    OptionalLong.empty());
        }

        @Override
        public Optional<PauseBudget> pauseBudget() {
            return Optional.ofNullable(pauseBudget);
        }

        @Override
        public OptionalLong residentBytes() {
            return OptionalLong.empty();
        }

        @Override
        public List<String> blockedReasons() {
            return List.of();
        }

        @Override
        public RunState runState() {
            return new RunState(running ? "running" : stopped, running);
        }

        @Override
        public void pause() {
            pauses.incrementAndGet();
            running = false;
        }

        @Override
        public void resume() throws TorporException {
            refuse(refusesToRun);
            running = true;
        }

        @Override
        public void quit() {
            quits.incrementAndGet();
            if (!loadsForEver && failsToLoad == null) {
                throw new AssertionError("no QEMU is to be ended");
            }
        }

        @Override
        public void announce() throws TorporException {
            announced.incrementAndGet();
            if (refusesToAnnounce) {
                throw new TorporException(FailureReason.QMPCommandFailed, "told to refuse");
            }
        }

        @Override
        public Optional<GuestAgentClient> guestAgent(Duration deadline) throws GuestAgentException {
            Path agent = guestAgent;
            return agent == null ? Optional.empty() : Optional.of(GuestAgentClient.connect(agent, deadline));
        }

        @Override
        public List<VmDisks.DiskFile> disks(List<VmDisks.Claim> claims) {
            return List.of();
        }

        @Override
        public void activateDisks() {}

        @Override
        public SaveReport save(SavePlan plan, ImageFiles files, Cancellation cancellation, ProgressListener listener)
                throws TorporException {
            saves.incrementAndGet();
            lastPlan = plan;
            if (refusesToCompress && plan.compression().method() != Compression.Method.NONE) {
                throw new TorporException(FailureReason.CapabilityMissing, "told to be built without");
            }
            writing.countDown();
            if (writesSample) {
                return writeSample(files);
            }
            long done = 0;
            while (!obeys || !cancellation.requested()) {
                hurried |= cancellation.hurried();
                listener.progress(++done, 1L << 20);
                try {
                    Thread.sleep(Duration.ofMillis(5));
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    throw new TorporException(FailureReason.AgentRestarted, "interrupted", e);
                }
            }
            cancellation.check();
            throw new AssertionError("not reached");
        }

        private SaveReport writeSample(ImageFiles files) throws TorporException {
            try {
                for (Map.Entry<Long, byte[]> part :
                        SampleGuest.parts(new byte[8]).entrySet()) {
                    files.buffered().write(ByteBuffer.wrap(part.getValue()), part.getKey());
                }
            } catch (IOException e) {
                throw new TorporException(FailureReason.SaveFailed, "QEMU cannot write", e);
            }
            return new SaveReport(SampleGuest.pages(), 2 << 20, Duration.ZERO);
        }

        @Override
        public ResumeTarget target(ImageLayout layout, String path) {
            return new ResumeTarget(probe(), Set.of(), Optional.empty(), Optional.empty());
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
            whenItLoads.run();
            TorporException why = failsToLoad;
            if (why != null) {
                throw why;
            }
            if (!loadsForEver) {
                throw new AssertionError("nothing is to be loaded");
            }
            while (!cancellation.requested()) {
                Thread.onSpinWait();
            }
            cancellation.check();
            throw new AssertionError("not reached");
        }

        @Override
        public void loadShadow(ResumeTarget target, ImageFiles shadow, Cancellation cancellation) {
            throw new AssertionError("nothing is mapped");
        }

        @Override
        public void settle() throws TorporException {
            refuse(refusesToSettle);
        }

        private static void refuse(@Nullable FailureReason why) throws TorporException {
            if (why != null) {
                throw new TorporException(why, "told to refuse");
            }
        }

        @Override
        public void hasten() {}

        @Override
        public void close() {}
    }
}
