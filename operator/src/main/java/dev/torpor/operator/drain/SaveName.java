package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.PodSaveName;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.Pod;

/**
 * Names of the VMSnapshots that drains make: {@code <VM>-<first 8 of the pod's UID>-<attempt>}. Whoever wants to make the
 * same save finds the same name, so two replicas that are asked at once make one save.
 */
final class SaveName {
    private SaveName() {}

    static String of(String vm, Pod pod, int attempt) {
        return PodSaveName.of(vm, pod.getMetadata().getUid()) + "-" + attempt;
    }

    /** Returns the number at the end of a name; 0 if there is none. */
    static int attemptOf(VMSnapshot snapshot) {
        String name = snapshot.getMetadata().getName();
        String number = name.substring(name.lastIndexOf('-') + 1);
        return number.matches("[0-9]{1,6}") ? Integer.parseInt(number) : 0;
    }
}
