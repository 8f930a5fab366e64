package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.ObjectName;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.failure.FailureReason;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import io.fabric8.kubernetes.api.model.ObjectMeta;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.apps.ControllerRevision;
import io.fabric8.kubernetes.api.model.apps.ControllerRevisionBuilder;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.dsl.Resource;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Manifests of saved pods, each in a {@code ControllerRevision} that its VMSnapshot owns. Agents cannot write those: a
 * manifest in status would let whoever may write status make the operator create any pod.
 *
 * <p>Each pod has a record of its own, which is never replaced, and status names it in the write that names the pod: so the two are
 * of one pod, whichever other operators write theirs meanwhile. Records of pods that were not saved after all go with the VMSnapshot.
 */
public final class RecordedManifests {
    private static final String UID = "[0-9a-zA-Z-]{1,63}";
    private static final String POD_UID = "podUID";
    private static final String POD = "pod";
    private static final String CONTROLLED = "controlled";

    private final KubernetesClient client;

    public RecordedManifests(KubernetesClient client) {
        this.client = client;
    }

    /**
     * What was recorded.
     *
     * @param pod manifest of the pod, fit to be created again
     * @param controlled whether a controller made the pod, and will make the next one
     */
    public record Recorded(Pod pod, boolean controlled) {}

    /** Returns the name of the revision of a snapshot's pod. */
    public static String nameFor(VMSnapshot snapshot, ObjectName pod) {
        String own = Torpor.MANIFEST_PREFIX + snapshot.getMetadata().getUid();
        // That of a pod that is gone is what an agent says.
        return Optional.ofNullable(pod.uid())
                .filter(uid -> uid.matches(UID))
                .map(uid -> own + "-" + uid)
                .orElse(own);
    }

    // As status has it: before each pod had its own, records had the name without the pod's UID (in no release).
    private static String nameIn(VMSnapshot snapshot) {
        return Optional.ofNullable(snapshot.getStatus())
                .map(VMSnapshotStatus::getManifestRevision)
                .orElseGet(() -> nameFor(snapshot, new ObjectName(null, null)));
    }

    /** Records the manifest of the pod that a snapshot saves. Recording the same pod again changes nothing. */
    public void record(VMSnapshot snapshot, Pod pod, StepHook steps) {
        ObjectMeta owner = snapshot.getMetadata();
        String name = nameFor(snapshot, VmPods.nameOf(pod));
        ControllerRevision before = resource(owner.getNamespace(), name).get();
        if (before != null && pod.getMetadata().getUid().equals(field(before, POD_UID))) {
            return; // by an admission that did not come to its end
        }
        ControllerRevision revision = new ControllerRevisionBuilder()
                .withNewMetadata()
                .withNamespace(owner.getNamespace())
                .withName(name)
                .addNewOwnerReference()
                .withApiVersion(snapshot.getApiVersion())
                .withKind(snapshot.getKind())
                .withName(owner.getName())
                .withUid(owner.getUid())
                .withController(true)
                .endOwnerReference()
                .addToLabels(Torpor.VM_LABEL, snapshot.getSpec().vmName())
                .endMetadata()
                .withRevision(1L)
                .withData(Map.of(
                        POD_UID, pod.getMetadata().getUid(),
                        CONTROLLED, VmPods.controllerOf(pod).isPresent(),
                        POD, client.getKubernetesSerialization().convertValue(PodManifest.of(pod), Map.class)))
                .build();
        steps.take(
                Step.SNAPSHOT_RECORD_MANIFEST, () -> client.resource(revision).create());
    }

    /** Returns the recorded manifest of the pod that a snapshot is bound to, if it is there and was written by us for that snapshot. */
    public Optional<Recorded> read(VMSnapshot snapshot) {
        ControllerRevision revision = resource(snapshot.getMetadata().getNamespace(), nameIn(snapshot))
                .get();
        if (revision == null
                || revision.getMetadata().getOwnerReferences().stream()
                        .noneMatch(owner -> snapshot.getMetadata().getUid().equals(owner.getUid()))) {
            return Optional.empty();
        }
        return Optional.ofNullable(field(revision, POD))
                .map(pod -> new Recorded(
                        PodManifest.withoutReadinessGate(
                                client.getKubernetesSerialization().convertValue(pod, Pod.class)),
                        Boolean.TRUE.equals(field(revision, CONTROLLED))));
    }

    /** Returns the failure that a snapshot without its record is. */
    public static TorporException missing(VMSnapshot snapshot) {
        return new TorporException(
                FailureReason.RecordedManifestMissing,
                "ControllerRevision %s with the recorded pod of VM %s is gone. The image is safe."
                        .formatted(nameIn(snapshot), snapshot.getSpec().vmName()));
    }

    private Resource<ControllerRevision> resource(String namespace, String name) {
        return client.apps().controllerRevisions().inNamespace(namespace).withName(name);
    }

    // The model leaves the data's Java type to what it looks like; in JSON it is an object always.
    private @Nullable Object field(ControllerRevision revision, String name) {
        return revision.getData() == null
                ? null
                : client.getKubernetesSerialization()
                        .convertValue(revision.getData(), Map.class)
                        .get(name);
    }
}
