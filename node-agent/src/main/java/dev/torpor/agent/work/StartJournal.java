package dev.torpor.agent.work;

import dev.torpor.agent.image.ImageRecord;
import dev.torpor.agent.image.ImageState;
import dev.torpor.agent.launch.VmName;
import dev.torpor.agent.launch.VmRecord;
import dev.torpor.failure.TorporException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What is known of a VM as it is to start, and what an agent that died has left of it in its images' records only. */
final class StartJournal {
    private static final Logger LOG = LoggerFactory.getLogger(StartJournal.class);

    private StartJournal() {}

    /**
     * Returns it, having written it down. An image that was committed to stop the VM for good retires its pod: the commit is the
     * point of no return. An image that was handed over to a process of this very pod waits no more: that process has ended, as
     * another one asks, which would wait for ever to be fed.
     *
     * @param podUID the pod that asks
     */
    static VmRecord read(Node node, VmName name, String podUID) throws TorporException {
        VmRecord vm = node.journal().read(name);
        for (ImageRecord record : node.store().list(name.namespace(), name.name())) {
            if (record.stoppedForGood(podUID) && record.intent().runNumber() == vm.runs()) {
                return node.journal().update(name, r -> r.retired(podUID));
            }
            Optional<VmRecord.HandOver> untold = vm.waiting()
                    .filter(waiting -> waiting.image().equals(record.id()))
                    .filter(_ -> record.state() instanceof ImageState.HandedOver)
                    .map(waiting -> new VmRecord.HandOver(
                            waiting.restoreUID(), record.id(), ((ImageState.HandedOver) record.state()).process()))
                    .filter(to -> to.process().podUID().equals(podUID));
            if (untold.isPresent()) {
                return node.journal().update(name, r -> r.handedOver(untold.get()));
            }
        }
        return vm;
    }

    /** Tells whether a VM was saved from a pod that ends: an image that nobody can read keeps nobody from saving its VM. */
    static boolean isRetired(Node node, VmName name, String podUID) throws TorporException {
        VmRecord journal;
        try {
            journal = read(node, name, podUID);
        } catch (TorporException e) {
            if (!e.reason().isOfImage()) {
                throw e;
            }
            LOG.warn("VM {}: pod {} ends: {}", name, podUID, e.getMessage());
            journal = node.journal().read(name);
        }
        return journal.retiredPods().contains(podUID);
    }
}
