package dev.torpor.operator.vm;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
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
 */
public final class RecordedManifests {
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

    /** Returns the name of the revision of a snapshot. */
    public static String nameFor(VMSnapshot snapshot) {
        return Torpor.MANIFEST_PREFIX + snapshot.getMetadata().getUid();
    }

    /** Records the manifest of the pod that a snapshot saves. Recording the same pod again changes nothing. */
    public void record(VMSnapshot snapshot, Pod pod, StepHook steps) {
        ObjectMeta owner = snapshot.getMetadata();
        Resource<ControllerRevision> resource = resource(owner.getNamespace(), nameFor(snapshot));
        ControllerRevision before = resource.get();
        if (before != null) {
            if (pod.getMetadata().getUid().equals(field(before, POD_UID))) {
                return;
            }
            // Left by an admission that did not come to its end; revisions cannot be changed. This one and no other, as
            // another operator may lead by now, and its record is that of the pod that is saved.
            steps.take(Step.SNAPSHOT_DROP_MANIFEST, () -> resource.lockResourceVersion(
                            before.getMetadata().getResourceVersion())
                    .delete());
        }
        ControllerRevision revision = new ControllerRevisionBuilder()
                .withNewMetadata()
                .withNamespace(owner.getNamespace())
                .withName(nameFor(snapshot))
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

    /** Returns a recorded manifest, if it is there and was written by us for that snapshot. */
    public Optional<Recorded> read(VMSnapshot snapshot) {
        ControllerRevision revision = resource(snapshot.getMetadata().getNamespace(), nameFor(snapshot))
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
                        .formatted(nameFor(snapshot), snapshot.getSpec().vmName()));
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
