package dev.torpor.agent.work;

import dev.torpor.agent.engine.LazyParts;
import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.PageComparison;
import dev.torpor.agent.image.ProcessIdentity;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.metrics.AgentMetrics.Scan;
import dev.torpor.agent.metrics.AgentMetrics.ScanEnd;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Compares the image of a guest that was resumed with its checksums, while the guest runs: a mapped one as its memory is read
 * ahead, so that nothing is read twice; one that was loaded by reading it once more. The first chunk that differs stops the
 * guest. The verdict rests on nothing that the VM's pod says or does. Thread-safe.
 */
final class MemoryChecks implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(MemoryChecks.class);
    private static final int THREADS = 2;
    /** How long nothing may be read ahead: a launcher begins a second after QEMU, and reads 32 MiB at a time. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    private static final Duration STOP_AGAIN = Duration.ofSeconds(1);
    private static final Duration END = Duration.ofSeconds(5);

    private final Node node;
    private final Map<String, Verdict> verdicts = new ConcurrentHashMap<>();
    private final ExecutorService threads;

    MemoryChecks(Node node) {
        this(node, Executors.newFixedThreadPool(THREADS, task -> Thread.ofPlatform()
                .name("memory-check")
                .daemon()
                .unstarted(task)));
    }

    /** @param threads which compare; ended with this */
    MemoryChecks(Node node, ExecutorService threads) {
        this.node = node;
        this.threads = threads;
    }

    /** What is known of a guest's memory. */
    sealed interface Verdict {
        /** It is being compared. */
        record Pending() implements Verdict {}

        /** All of it is what was saved. */
        record Sound() implements Verdict {}

        /** A chunk differs; the guest is stopped, or its QEMU has ended. */
        record Damaged(String why) implements Verdict {}

        /** It was not compared. */
        record Unknown(String why) implements Verdict {}
    }

    /**
     * What is to be compared.
     *
     * @param restoreUID restore that resumed the guest
     * @param item what is looked at when there is a verdict
     * @param image the image, which may be consumed once this was handed over
     * @param process the QEMU that runs from it
     * @param lazy whether it has the image mapped, so that its launcher reads ahead
     */
    record Guest(String restoreUID, WorkItem item, ImageId image, ProcessIdentity process, boolean lazy) {}

    /** Returns the verdict on a restore's guest; begins to find it out if nobody has. */
    Verdict look(Guest guest) {
        Verdict known = verdicts.get(guest.restoreUID());
        if (known != null) {
            return known;
        }
        Verdict begun = begin(guest);
        // What it began may have ended by now.
        Verdict found = verdicts.putIfAbsent(guest.restoreUID(), begun);
        return found == null ? begun : found;
    }

    /** An agent before us has recorded this; that it stopped the guest too is not known. */
    Verdict damaged(Guest guest, String why) {
        Verdict verdict = new Verdict.Damaged(why);
        if (verdicts.put(guest.restoreUID(), verdict) == null) {
            try {
                threads.execute(() -> stop(guest.process()));
            } catch (RejectedExecutionException e) {
                verdicts.remove(guest.restoreUID()); // for the next agent
            }
        }
        return verdict;
    }

    private Verdict begin(Guest guest) {
        PageComparison pages;
        try {
            CommittedImage image = node.store().open(guest.image());
            Set<String> followed = guest.lazy() ? LazyParts.expected(image.layout()) : Set.of();
            Optional<PageComparison> found = image.comparison(followed, PATIENCE);
            if (found.isEmpty()) {
                return new Verdict.Unknown("the image was not Verified, so its pages have no checksums");
            }
            pages = found.get();
        } catch (TorporException e) {
            LOG.info("image {} is not compared: {}", guest.image(), e.getMessage());
            return new Verdict.Unknown(
                    e.reason() == FailureReason.ImageMissing
                            ? "the agent was restarted, and the image is consumed"
                            : "the image cannot be compared: " + e.getMessage());
        }
        try {
            threads.execute(() -> check(guest, pages));
            return new Verdict.Pending();
        } catch (RejectedExecutionException e) {
            close(pages);
            return new Verdict.Unknown("the agent ends");
        }
    }

    private void check(Guest guest, PageComparison pages) {
        Verdict verdict;
        try (pages) {
            long began = System.nanoTime();
            pages.compare(new Gently(guest.lazy()));
            LOG.info(
                    "image {}: all pages of its guest are what was saved; compared in {} ms",
                    guest.image(),
                    TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - began));
            node.metrics().scanned(Scan.RESUME, ScanEnd.SOUND);
            verdict = new Verdict.Sound();
        } catch (EndedException e) {
            return; // the next agent says what it can
        } catch (TorporException e) {
            if (PageScans.isDamage(e)) {
                node.metrics().scanned(Scan.RESUME, ScanEnd.DAMAGED);
                String why = e.getMessage() == null ? e.reason().name() : e.getMessage();
                LOG.error("image {}: {}: its guest is stopped", guest.image(), why);
                record(guest, why);
                stop(guest.process());
                verdict = new Verdict.Damaged(why);
            } else {
                node.metrics().scanned(Scan.RESUME, ScanEnd.UNFINISHED);
                verdict = new Verdict.Unknown("the image cannot be compared: " + e.getMessage());
            }
        } catch (IOException e) {
            LOG.warn("image {} cannot be closed", guest.image(), e);
            return;
        }
        verdicts.put(guest.restoreUID(), verdict);
        node.wake().accept(guest.item());
    }

    /** Before it is stopped: nobody is to let it run again. */
    private void record(Guest guest, String why) {
        try {
            var _ = node.journal()
                    .update(
                            new VmName(guest.image().namespace(), guest.image().vm()),
                            vm -> vm.damaged(guest.restoreUID(), why));
        } catch (TorporException e) {
            LOG.error("image {}: its guest may be saved: {}", guest.image(), e.getMessage(), e);
        }
    }

    /** Stops a guest; its monitor may be in use, for a save perhaps, and then it does not run. */
    private void stop(ProcessIdentity process) {
        while (isAlive(process)) {
            try (Vm vm = node.vms().connect(process.podUID())) {
                if (!vm.process().equals(process)) {
                    return;
                }
                vm.pause();
                node.readiness().changed(process.podUID());
                return;
            } catch (TorporException e) {
                LOG.warn("a guest with wrong memory is not stopped yet: {}", e.getMessage());
            }
            if (Thread.currentThread().isInterrupted()) {
                return;
            }
            LockSupport.parkNanos(STOP_AGAIN.toNanos());
        }
    }

    private boolean isAlive(ProcessIdentity process) {
        try {
            return node.vms().isAlive(process);
        } catch (IOException e) {
            LOG.debug("cannot tell whether {} is alive", process, e);
            return true;
        }
    }

    /** Returns how many restores it knows of. */
    int remembered() {
        return verdicts.size();
    }

    /** Forgets a restore that is gone, or that has its verdict in its status. */
    void forget(String restoreUID) {
        verdicts.remove(restoreUID);
    }

    private static void close(PageComparison pages) {
        try {
            pages.close();
        } catch (IOException e) {
            LOG.debug("closing", e);
        }
    }

    @Override
    public void close() {
        threads.shutdownNow();
        try {
            if (!threads.awaitTermination(END.toSeconds(), TimeUnit.SECONDS)) {
                LOG.warn("the comparison of a guest's memory did not end in time");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
