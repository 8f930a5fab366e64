package dev.torpor.agent.work;

import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * When the hooks of this node's pods were first heard. Pods choose the ids of their asks, so each has room of its own: one
 * that asks again and again only makes its own forgotten. Thread-safe.
 */
final class HookTimes {
    /** More than a kubelet runs: 110 unless it is told otherwise. */
    private static final int PODS_MAX = 2000;
    /** More than are answered of one pod ({@link dev.torpor.agent.launch.AskDirectory#asks}). */
    private static final int ASKS_MAX = 16;

    private final Map<String, Map<String, Instant>> pods = new Latest<>(PODS_MAX);

    /** Takes note of a hook, and returns when it was heard before; empty if it was not. */
    synchronized Optional<Instant> heard(String podUID, String askID, Instant now) {
        Map<String, Instant> asks = pods.computeIfAbsent(podUID, _ -> new Latest<>(ASKS_MAX));
        return Optional.ofNullable(asks.putIfAbsent(askID, now));
    }

    /** Keeps those that were used last. */
    private static final class Latest<V> extends LinkedHashMap<String, V> {
        private static final long serialVersionUID = 1;
        private static final float LOAD_FACTOR = 0.75f;

        private final int max;

        Latest(int max) {
            super(ASKS_MAX, LOAD_FACTOR, true);
            this.max = max;
        }

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, V> eldest) {
            return size() > max;
        }
    }
}
