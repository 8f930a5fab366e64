package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** VMs that agents saved by themselves, because their pods were terminated past the eviction API. */
public final class Terminations {
    private final KubernetesClient client;

    public Terminations(KubernetesClient client) {
        this.client = client;
    }

    /** Such a save, and the node that has it. */
    public record Found(TerminationSave save, String nodeName) {}

    /** Returns the save that a snapshot stands for, by a consistent read; empty if no agent tells of it. */
    public Optional<Found> find(VMSnapshot snapshot) {
        return client.resources(NodeStore.class).list().getItems().stream()
                .flatMap(store -> savesOf(store).stream()
                        .filter(save -> standsFor(snapshot, save))
                        .map(save -> new Found(save, store.getMetadata().getName())))
                .findFirst();
    }

    /** Returns what a store's agent tells. */
    public static List<TerminationSave> savesOf(NodeStore store) {
        return store.getStatus() == null ? List.of() : store.getStatus().saves();
    }

    /** Returns whether a snapshot stands for an image that an agent made by itself. */
    public static boolean isAdopting(VMSnapshot snapshot) {
        return snapshot.adoptedImage().isPresent();
    }

    /** Returns whether a snapshot was made for a file that was imported. For words only: anybody may write annotations. */
    public static boolean isOfImport(VMSnapshot snapshot) {
        Map<String, String> annotations = snapshot.getMetadata().getAnnotations();
        return annotations != null && Torpor.CREATED_BY_IMPORT.equals(annotations.get(Torpor.CREATED_BY_ANNOTATION));
    }

    /** Returns whether a snapshot stands for this save. */
    public static boolean standsFor(VMSnapshot snapshot, TerminationSave save) {
        return save.isOf(
                        snapshot.getMetadata().getNamespace(),
                        snapshot.getSpec().vmName())
                && snapshot.adoptedImage().equals(Optional.of(save.image()));
    }

    /** Returns the UID of a snapshot's image. */
    public static String imageUid(VMSnapshot snapshot) {
        return snapshot.adoptedImage().orElse(snapshot.getMetadata().getUid());
    }
}
