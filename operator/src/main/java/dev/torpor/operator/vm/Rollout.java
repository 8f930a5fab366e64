package dev.torpor.operator.vm;

import io.fabric8.kubernetes.api.model.apps.RollingUpdateStatefulSetStrategy;
import io.fabric8.kubernetes.api.model.apps.StatefulSetSpec;
import java.util.Objects;
import java.util.Optional;

/** Which pods of a StatefulSet its controller replaces by itself when the template changes. */
public final class Rollout {
    private static final int FIRST_ORDINAL = 0;

    private Rollout() {}

    /** Tells whether it replaces the first pod, which is the only one of a VM's StatefulSet. */
    public static boolean reachesFirst(StatefulSetSpec spec) {
        return reaches(spec, firstOrdinal(spec));
    }

    /** The same for a pod by its name, which ends with its ordinal. A name that does not is taken for that of the first. */
    static boolean reaches(StatefulSetSpec spec, String podName) {
        String number = podName.substring(podName.lastIndexOf('-') + 1);
        return reaches(spec, number.matches("[0-9]{1,9}") ? Integer.parseInt(number) : firstOrdinal(spec));
    }

    /** As updateStatefulSet of pkg/controller/statefulset has it (Kubernetes 1.32 to 1.37): the partition counts from the first. */
    private static boolean reaches(StatefulSetSpec spec, int ordinal) {
        var strategy = spec.getUpdateStrategy();
        if (strategy == null) {
            return true;
        }
        int partition = Optional.ofNullable(strategy.getRollingUpdate())
                .map(RollingUpdateStatefulSetStrategy::getPartition)
                .orElse(0);
        return !"OnDelete".equals(strategy.getType()) && ordinal - firstOrdinal(spec) >= partition;
    }

    private static int firstOrdinal(StatefulSetSpec spec) {
        return spec.getOrdinals() == null
                ? FIRST_ORDINAL
                : Objects.requireNonNullElse(spec.getOrdinals().getStart(), FIRST_ORDINAL);
    }
}
