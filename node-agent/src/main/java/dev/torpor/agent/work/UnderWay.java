package dev.torpor.agent.work;

import java.util.HashSet;
import java.util.Set;

/**
 * What was begun and has not come to rest yet, what of that is at work on the disk, and whether more may be begun: not once the
 * agent was told to end. Thread-safe.
 */
final class UnderWay {
    private final Set<WorkItem> items = new HashSet<>();
    private final Set<Transfer> transfers = new HashSet<>();
    private boolean ending;

    /** Notes that work on an item begins, or says that it must be left to the next agent. */
    synchronized boolean begin(WorkItem item) {
        if (ending) {
            return false;
        }
        items.add(item);
        return true;
    }

    /** Notes that nothing is left to be done for an item, until it changes. */
    synchronized void atRest(WorkItem item) {
        items.remove(item);
    }

    synchronized boolean contains(WorkItem item) {
        return items.contains(item);
    }

    /** The I/O of a save or a load, which others leave the disk to until it is closed. */
    final class Transfer implements AutoCloseable {
        private Transfer() {}

        /** It is to end and does not: whether it ever will only its QEMU knows, and nobody waits for it any longer. */
        void lingers() {
            close();
        }

        @Override
        public void close() {
            synchronized (UnderWay.this) {
                transfers.remove(this);
            }
        }
    }

    /** Notes that a save or a load is at work, not that one waits for its turn, its pod or its next try. */
    synchronized Transfer transfer() {
        Transfer transfer = new Transfer();
        transfers.add(transfer);
        return transfer;
    }

    /** Tells whether memory is being saved or loaded. */
    synchronized boolean transferring() {
        return !transfers.isEmpty();
    }

    /** From now on nothing begins. */
    synchronized void end() {
        ending = true;
    }

    synchronized boolean ending() {
        return ending;
    }
}
