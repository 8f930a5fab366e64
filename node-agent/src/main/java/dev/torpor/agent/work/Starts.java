package dev.torpor.agent.work;

import dev.torpor.agent.image.CommittedImage;
import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.launch.Answer;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.launch.Asked;
import dev.torpor.agent.launch.FolderId;
import dev.torpor.agent.launch.LazyStart;
import dev.torpor.agent.launch.MalformedAskException;
import dev.torpor.agent.launch.StartDecision;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.StopAsk;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.linux.FileFacts;
import dev.torpor.agent.metrics.AgentMetrics.LauncherAnswer;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.api.v1alpha1.RestoreStrategy;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Answers the launchers of this node's VM pods. */
final class Starts {
    private static final Logger LOG = LoggerFactory.getLogger(Starts.class);
    private static final Duration ANSWER_PATIENCE = Duration.ofSeconds(2);
    // What holds a start may pass without our hearing of it: a restore of another node, the API server's absence.
    private static final Duration LOOK_AGAIN = Duration.ofSeconds(2);
    // An answer that was cut off, by a launcher that was busy or an agent that died.
    private static final Duration ANSWER_AGAIN = Duration.ofSeconds(5);
    private static final int SAID_MAX = 1000;

    private final Node node;
    private final PodDirectories pods;
    private final ManagedImages images;
    private final Terminations terminations;
    private final BiConsumer<String, Trouble> refusals;
    private final Map<String, String> said = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
            return size() > SAID_MAX;
        }
    };

    /**
     * Sets up.
     *
     * @param terminations answers for pods that end
     * @param refusals hears of restores, by their UID, that their launcher cannot be answered for
     */
    Starts(Node node, PodDirectories pods, Terminations terminations, BiConsumer<String, Trouble> refusals) {
        this.node = node;
        this.pods = pods;
        this.terminations = terminations;
        this.images = new ManagedImages(node);
        this.refusals = refusals;
    }

    /** Tells whether a pod's launcher may be asking; cheap. */
    boolean isAsking(String podUID) {
        try (Directory volume = pods.volume(podUID)) {
            return !new AskDirectory(volume).asks().isEmpty();
        } catch (IOException e) {
            return false; // not started yet, or gone
        }
    }

    /** Tells hooks of a pod whose VM's worker is at work that they will be answered; cheap. */
    void heed(WorkItem.Pod pod) {
        try (Directory volume = pods.volume(pod.podUID())) {
            terminations.heed(pod, new AskDirectory(volume));
        } catch (IOException e) {
            LOG.debug("pod {} of VM {}: {}", pod.podUID(), pod.vm(), e.getMessage());
        }
    }

    /** Answers every ask of a pod. */
    Next look(WorkItem.Pod pod) {
        try (Directory volume = pods.volume(pod.podUID())) {
            AskDirectory asks = new AskDirectory(volume);
            boolean answered = false;
            boolean held = false;
            for (String id : asks.asks()) {
                if (asks.isAwaited(id)) {
                    boolean started = answer(pod, asks, id);
                    answered |= started;
                    held |= !started;
                }
            }
            if (answered) {
                return Next.after(ANSWER_AGAIN);
            }
            return held ? Next.after(LOOK_AGAIN) : Next.onChange();
        } catch (IOException e) {
            LOG.debug("pod {} of VM {}: {}", pod.podUID(), pod.vm(), e.getMessage());
            return Next.onChange();
        } catch (TorporException e) {
            LOG.error("VM {}: its start cannot be answered: {}", pod.vm(), e.getMessage(), e);
            return Next.backOff();
        }
    }

    /** Answers one ask, and tells whether that was all; else it is held. */
    private boolean answer(WorkItem.Pod pod, AskDirectory asks, String id) throws IOException, TorporException {
        Asked asked;
        try {
            asked = asks.read(id);
        } catch (MalformedAskException e) {
            LOG.warn("pod {} of VM {}: an ask is not a launcher's: {}", pod.podUID(), pod.vm(), e.getMessage());
            return false;
        }
        return switch (asked) {
            case Ask ask -> start(pod, asks, ask);
            case StopAsk _ ->
                terminations.answer(
                        pod, Terminations.Hook.of(asks, id), StartJournal.isRetired(node, pod.vm(), pod.podUID()));
        };
    }

    private StartFacts facts(WorkItem.Pod pod) throws TorporException {
        VmRecord journal = journal(pod);
        return new StartFacts(pod.podUID(), journal, images.here(pod.vm(), journal), cluster(pod));
    }

    private boolean start(WorkItem.Pod pod, AskDirectory asks, Ask ask) throws IOException, TorporException {
        String id = ask.id();
        StartFacts facts;
        try {
            facts = facts(pod);
        } catch (TorporException e) {
            if (!e.reason().isOfImage()) {
                throw e;
            }
            // What waits must not be overlooked, and this may.
            say(
                    pod,
                    asks,
                    id,
                    e.getMessage() + ". The VM starts when that record is put back, or its VMSnapshot is given up ("
                            + Torpor.DISCARD_ANNOTATION + "): see that VMSnapshot");
            node.metrics().answered(LauncherAnswer.WAIT);
            return false;
        }
        if (facts.cluster() instanceof StartFacts.Seen) {
            node.readiness().starting(pod.podUID());
        }
        return switch (StartDecision.of(facts)) {
            case StartDecision.Wait(String reason) -> {
                say(pod, asks, id, reason);
                node.metrics().answered(LauncherAnswer.WAIT);
                yield false;
            }
            case StartDecision.Boot _ -> {
                var _ = node.journal()
                        .update(
                                pod.vm(),
                                vm -> vm.booted(pod.podUID(), id, node.clock().instant()));
                wakeOlderImages(pod.vm());
                start(pod, asks, Answer.boot(ask), id, "cold");
                node.metrics().answered(LauncherAnswer.BOOT);
                yield true;
            }
            case StartDecision.Resume(String restoreUID) -> resume(pod, asks, ask, facts, restoreUID);
        };
    }

    private boolean resume(WorkItem.Pod pod, AskDirectory asks, Ask ask, StartFacts facts, String restoreUID)
            throws IOException, TorporException {
        VmRecord vm = facts.journal();
        Optional<WorkItem.Restore> item = restore(pod.vm(), facts, restoreUID);
        RestoreStrategy strategy = item.flatMap(it -> node.cluster().restore(it.namespace(), it.name()))
                .map(object -> object.getSpec().strategy())
                .orElse(RestoreStrategy.Auto);
        switch (decide(strategy, ask, vm, restoreUID)) {
            case ResumeDecision.Refuse(String why) -> {
                String message = "memory cannot be mapped from the image: " + why;
                refusals.accept(restoreUID, new Trouble(FailureReason.LazyNotPossible, message));
                item.ifPresent(node.wake());
                say(pod, asks, ask.id(), "strategy Lazy: " + message);
                node.metrics().answered(LauncherAnswer.WAIT);
                return false;
            }
            case ResumeDecision.Eager(VmRecord.Resume how) -> {
                note(pod, ask, restoreUID, how);
                start(pod, asks, Answer.resume(ask), ask.id(), "to be fed");
                item.ifPresent(node.wake());
            }
            case ResumeDecision.Lazy(LazyStart.Possible start) -> {
                CommittedImage image =
                        node.store().open(vm.waiting().orElseThrow().image());
                note(pod, ask, restoreUID, VmRecord.Resume.LAZY);
                node.store().lend(image, start.mapped());
                start(pod, asks, Answer.resume(start, image.id()), ask.id(), "with its image as memory");
                item.ifPresent(node.wake());
            }
        }
        node.metrics().answered(LauncherAnswer.RESUME);
        return true;
    }

    private static Optional<WorkItem.Restore> restore(VmName vm, StartFacts facts, String restoreUID) {
        return facts.cluster() instanceof StartFacts.Seen seen
                ? seen.restores().stream()
                        .filter(active -> active.uid().equals(restoreUID))
                        .map(active -> new WorkItem.Restore(vm.namespace(), active.name()))
                        .findFirst()
                : Optional.empty();
    }

    private void note(WorkItem.Pod pod, Ask ask, String restoreUID, VmRecord.Resume how) throws TorporException {
        var _ = node.journal()
                .update(
                        pod.vm(),
                        vm -> vm.incoming(
                                pod.podUID(),
                                ask.id(),
                                restoreUID,
                                how,
                                node.clock().instant()));
    }

    private ResumeDecision decide(RestoreStrategy strategy, Ask ask, VmRecord vm, String restoreUID) {
        try {
            CommittedImage image = node.store().open(vm.waiting().orElseThrow().image());
            FileFacts folder = image.folderFacts();
            LazyStart lazy = LazyStart.of(
                    ask,
                    new LazyStart.Image(image.header(), image.layout(), new FolderId(folder.device(), folder.inode())));
            return ResumeDecision.of(strategy, vm, restoreUID, ask.id(), lazy, image.hasPageChecksums());
        } catch (TorporException e) {
            LOG.warn("the image that waits cannot be opened; its restore will say so", e);
            return new ResumeDecision.Eager(VmRecord.Resume.EAGER);
        }
    }

    private VmRecord journal(WorkItem.Pod pod) throws TorporException {
        return StartJournal.read(node, pod.vm(), pod.podUID());
    }

    private void start(WorkItem.Pod pod, AskDirectory asks, Answer answer, String id, String how) throws IOException {
        node.hook().before(Step.START_ANSWER);
        AskDirectory.Delivery delivery = asks.answer(id, answer, ANSWER_PATIENCE);
        node.hook().after(Step.START_ANSWER);
        LOG.info("VM {} starts {} in pod {}: {}", pod.vm(), how, pod.podUID(), delivery);
    }

    private void say(WorkItem.Pod pod, AskDirectory asks, String id, String reason) throws IOException {
        synchronized (said) {
            if (reason.equals(said.get(id))) {
                return; // the launcher repeats the last line by itself
            }
        }
        AskDirectory.Delivery delivery = asks.answer(id, new Answer.Say(reason), ANSWER_PATIENCE);
        LOG.info("VM {} waits in pod {}: {} ({})", pod.vm(), pod.podUID(), reason, delivery);
        synchronized (said) {
            said.put(id, reason);
        }
    }

    private StartFacts.Cluster cluster(WorkItem.Pod pod) throws TorporException {
        try {
            List<StartFacts.ActiveRestore> restores = node.cluster().activeRestores(pod.vm());
            Optional<Cluster.LivePod> live = node.cluster().livePod(pod.vm(), pod.podUID());
            return live.isEmpty()
                    ? new StartFacts.PodGone()
                    : new StartFacts.Seen(
                            restores, images.elsewhere(pod.vm()), live.get().restoreUID());
        } catch (KubernetesClientException e) {
            LOG.warn("the API server does not say what waits for VM {}: {}", pod.vm(), e.getMessage());
            return new StartFacts.Away();
        }
    }

    /** The VM runs from its disks: images for which it was stopped are stale now, and their objects are to say so. */
    private void wakeOlderImages(VmName vm) throws TorporException {
        long runs = node.journal().read(vm).runs();
        for (ImageRecord record : node.store().list(vm.namespace(), vm.name())) {
            if (record.intent().mode() != ImageMode.CHECKPOINT
                    && record.intent().runNumber() < runs) {
                ImageId id = record.id();
                node.cluster().snapshotOf(id).ifPresent(object -> node.wake()
                        .accept(new WorkItem.Snapshot(
                                object.getMetadata().getNamespace(),
                                object.getMetadata().getName())));
            }
        }
    }
}
