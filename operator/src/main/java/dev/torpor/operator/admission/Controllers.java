package dev.torpor.operator.admission;

import java.util.Map;
import java.util.Optional;

/** Controllers of pods that cannot keep a VM to one live pod. */
final class Controllers {
    private static final Map<String, String> REFUSED = Map.of(
            "ReplicaSet", "a Deployment or ReplicaSet starts the next pod while the last one still runs.",
            "Deployment", "a Deployment starts the next pod while the last one still runs.",
            "ReplicationController", "a ReplicationController starts the next pod while the last one still runs.",
            "DaemonSet", "a DaemonSet starts one pod on each node, where a VM has one in all.");

    private Controllers() {}

    /** Returns why pods of this kind of controller are refused. */
    static Optional<String> refusal(String kind) {
        return Optional.ofNullable(REFUSED.get(kind));
    }
}
