package dev.torpor.operator.drain;

import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.Locale;

/**
 * Names of the VMSnapshots that drains make: {@code <VM>-<first 8 of the pod's UID>-<attempt>}. Whoever wants to make the
 * same save finds the same name, so two replicas that are asked at once make one save.
 */
final class SaveName {
    private static final int UID_CHARACTERS = 8;

    private SaveName() {}

    static String of(String vm, Pod pod, int attempt) {
        String uid = pod.getMetadata().getUid();
        // A label takes letters and signs that a name does not; the UID keeps apart what becomes equal.
        String name = vm.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]", "-");
        return "%s-%s-%d".formatted(name, uid.substring(0, Math.min(UID_CHARACTERS, uid.length())), attempt);
    }

    /** Returns the number at the end of a name; 0 if there is none. */
    static int attemptOf(VMSnapshot snapshot) {
        String name = snapshot.getMetadata().getName();
        String number = name.substring(name.lastIndexOf('-') + 1);
        return number.matches("[0-9]{1,6}") ? Integer.parseInt(number) : 0;
    }
}
