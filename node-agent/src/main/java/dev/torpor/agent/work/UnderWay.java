package dev.torpor.agent.work;

import java.util.HashSet;
import java.util.Set;

/**
 * What was begun and has not come to rest yet, and whether more may be begun: not once the agent was told to end.
 * Thread-safe.
 */
final class UnderWay {
    private final Set<WorkItem> items = new HashSet<>();
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

    /** Tells whether anything is being saved or restored. */
    synchronized boolean any() {
        return !items.isEmpty();
    }

    /** From now on nothing begins. */
    synchronized void end() {
        ending = true;
    }

    synchronized boolean ending() {
        return ending;
    }
}
