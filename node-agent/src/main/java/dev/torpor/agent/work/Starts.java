package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageId;
import dev.torpor.agent.image.ImageMode;
import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.launch.Answer;
import dev.torpor.agent.launch.Ask;
import dev.torpor.agent.launch.AskDirectory;
import dev.torpor.agent.launch.MalformedAskException;
import dev.torpor.agent.launch.StartDecision;
import dev.torpor.agent.launch.StartFacts;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.agent.linux.Directory;
import dev.torpor.agent.metrics.AgentMetrics.LauncherAnswer;
import dev.torpor.agent.node.PodDirectories;
import dev.torpor.failure.TorporException;
import io.fabric8.kubernetes.client.KubernetesClientException;
import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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
    private final Map<String, String> said = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, String> eldest) {
            return size() > SAID_MAX;
        }
    };

    Starts(Node node, PodDirectories pods) {
        this.node = node;
        this.pods = pods;
        this.images = new ManagedImages(node);
    }

    /** Tells whether a pod's launcher may be asking; cheap. */
    boolean isAsking(String podUID) {
        try (Directory volume = pods.volume(podUID)) {
            return !new AskDirectory(volume).asks().isEmpty();
        } catch (IOException e) {
            return false; // not started yet, or gone
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

    /** Answers one ask, and tells whether it was to start. */
    private boolean answer(WorkItem.Pod pod, AskDirectory asks, String id) throws IOException, TorporException {
        Ask ask;
        try {
            ask = asks.read(id);
        } catch (MalformedAskException e) {
            LOG.warn("pod {} of VM {}: an ask is not a launcher's: {}", pod.podUID(), pod.vm(), e.getMessage());
            return false;
        }
        VmRecord journal = journal(pod);
        StartDecision decision =
                StartDecision.of(new StartFacts(pod.podUID(), journal, images.here(pod.vm(), journal), cluster(pod)));
        return switch (decision) {
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
            case StartDecision.Resume(String restoreUID) -> {
                var _ = node.journal()
                        .update(
                                pod.vm(),
                                vm -> vm.incoming(
                                        pod.podUID(),
                                        id,
                                        restoreUID,
                                        node.clock().instant()));
                start(pod, asks, Answer.resume(ask), id, "to be fed");
                node.metrics().answered(LauncherAnswer.RESUME);
                yield true;
            }
        };
    }

    /**
     * Returns what is known of the pod's VM. An image that was committed to stop it for good retires its pod even if an
     * agent died between the two: the commit is the point of no return.
     */
    private VmRecord journal(WorkItem.Pod pod) throws TorporException {
        VmRecord vm = node.journal().read(pod.vm());
        for (ImageRecord record :
                node.store().list(pod.vm().namespace(), pod.vm().name())) {
            if (record.stoppedForGood(pod.podUID()) && record.intent().runNumber() == vm.runs()) {
                return node.journal().update(pod.vm(), r -> r.retired(pod.podUID()));
            }
        }
        return vm;
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
            return new StartFacts.Seen(
                    restores, images.elsewhere(pod.vm()), node.cluster().restoreOfPod(pod.vm(), pod.podUID()));
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
