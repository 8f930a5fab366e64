package dev.torpor.operator.drain;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.Imported;
import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SourceSpec;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.failure.TorporException;
import dev.torpor.operator.step.Step;
import dev.torpor.operator.step.StepHook;
import dev.torpor.operator.vm.SnapshotClasses;
import dev.torpor.operator.vm.VmName;
import dev.torpor.operator.vm.VmUse;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.KubernetesClient;
import io.fabric8.kubernetes.client.KubernetesClientException;
import io.fabric8.kubernetes.client.dsl.base.PatchContext;
import io.fabric8.kubernetes.client.dsl.base.PatchType;
import java.net.HttpURLConnection;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The VMSnapshots that drains make, read from and written to the API server. They carry no labels and no owners: nothing
 * that prunes or collects garbage may take a VM's memory for its own.
 */
final class DrainSaves {
    /** A save may wait for all others of its node, which is no reason to give it up. */
    static final int DEADLINE_SECONDS = 3600;

    private static final Logger LOG = LoggerFactory.getLogger(DrainSaves.class);

    private final KubernetesClient client;
    private final SnapshotClasses classes;
    private final InstantSource clock;
    private final StepHook steps;

    DrainSaves(KubernetesClient client, InstantSource clock, StepHook steps) {
        this.client = client;
        this.classes = new SnapshotClasses(client);
        this.clock = clock;
        this.steps = steps;
    }

    /** Looks how far the save of a live pod is. */
    SaveStep look(Pod pod) {
        VmName vm = vmOf(pod);
        List<VMSnapshot> ofVm =
                client.resources(VMSnapshot.class).inNamespace(vm.namespace()).list().getItems().stream()
                        .filter(snapshot -> vm.name().equals(snapshot.getSpec().vmName()))
                        .filter(snapshot -> !Imported.hasStatusOfAnother(snapshot))
                        .toList();
        return SaveProgress.of(pod, ofVm, this::policy, this::isRestored, clock.instant());
    }

    private boolean isRestored(VMSnapshot image) {
        return client
                .resources(VMRestore.class)
                .inNamespace(image.getMetadata().getNamespace())
                .list()
                .getItems()
                .stream()
                .filter(restore ->
                        image.getMetadata().getName().equals(restore.getSpec().snapshotName()))
                .anyMatch(DrainSaves::isUnderWay);
    }

    /** Also one that nobody has looked at yet, and one that is done, of which the snapshot does not know yet. */
    private static boolean isUnderWay(VMRestore restore) {
        return restore.getStatus() == null
                || VmUse.isAtWork(restore)
                || Conditions.isTrue(restore.getStatus().getConditions(), ConditionType.RESUMED);
    }

    /** Makes a save of a pod, if it is not there yet. */
    void begin(Pod pod, DrainCause cause, int attempt) {
        create(make(pod, cause, attempt, false), cause);
    }

    /** Has the node's agent shut down the VM of a pod, unsaved, by a snapshot that is cancelled from the first. */
    void orderShutdown(Pod pod, int attempt) {
        VMSnapshot order = make(pod, DrainCause.Removal, attempt, true);
        order.getMetadata().getAnnotations().put(Torpor.SHUT_DOWN_ANNOTATION, ShutdownProgress.wish(pod));
        create(order, DrainCause.Removal);
    }

    private void create(VMSnapshot save, DrainCause cause) {
        String name = save.getMetadata().getName();
        try {
            steps.take(Step.DRAIN_BEGIN, () -> client.resource(save).create());
            LOG.info(
                    "VMSnapshot {}/{}: made for a drain ({})",
                    save.getMetadata().getNamespace(),
                    name,
                    cause);
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
            LOG.debug("VMSnapshot {} is there already", name);
        }
    }

    /** Has a save end whose drain is over. Without effect on one that is saved by then. */
    void cancel(VMSnapshot save) {
        patch(
                Step.DRAIN_CANCEL,
                save,
                Map.of(Torpor.CANCELLED_BY_ANNOTATION, Torpor.CREATED_BY_DRAIN),
                Map.of("spec", Map.of("cancel", true)));
    }

    /** Has the node's agent shut down a VM whose save failed. */
    void askShutdown(VMSnapshot failed, Pod pod) {
        patch(
                Step.DRAIN_ASK_SHUTDOWN,
                failed,
                Map.of(Torpor.SHUT_DOWN_ANNOTATION, ShutdownProgress.wish(pod)),
                Map.of());
    }

    /** Has the node's agent let a VM be that it was to shut down. */
    void recallShutdown(VMSnapshot failed) {
        Map<String, @Nullable String> none = new HashMap<>();
        none.put(Torpor.SHUT_DOWN_ANNOTATION, null);
        patch(Step.DRAIN_RECALL_SHUTDOWN, failed, none, Map.of());
    }

    /** Notes that the drain is over in which a save failed. */
    void close(VMSnapshot failed) {
        patch(Step.DRAIN_CLOSE, failed, Map.of(Torpor.DRAIN_OVER_ANNOTATION, "true"), Map.of());
    }

    // The UID goes along: a name may be another object's by now, and the agent writes status too often for a version.
    private void patch(
            Step step, VMSnapshot save, Map<String, @Nullable String> annotations, Map<String, Object> more) {
        Map<String, Object> patch = new HashMap<>(more);
        patch.put("metadata", Map.of("uid", save.getMetadata().getUid(), "annotations", annotations));
        try {
            steps.take(step, () -> client.resources(VMSnapshot.class)
                    .inNamespace(save.getMetadata().getNamespace())
                    .withName(save.getMetadata().getName())
                    .patch(
                            PatchContext.of(PatchType.JSON_MERGE),
                            client.getKubernetesSerialization().asJson(patch)));
        } catch (KubernetesClientException e) {
            if (e.getCode() != HttpURLConnection.HTTP_NOT_FOUND && e.getCode() != HttpURLConnection.HTTP_CONFLICT) {
                throw e;
            }
        }
    }

    /** Returns the saves that drains of a node made, whatever became of them. */
    List<VMSnapshot> ofNode(String nodeName) {
        return client.resources(VMSnapshot.class).inAnyNamespace().list().getItems().stream()
                .filter(snapshot -> isOfNode(snapshot, nodeName))
                .toList();
    }

    static boolean isOfNode(VMSnapshot snapshot, String nodeName) {
        Map<String, String> annotations = SaveProgress.annotations(snapshot);
        return Torpor.CREATED_BY_DRAIN.equals(annotations.get(Torpor.CREATED_BY_ANNOTATION))
                && nodeName.equals(annotations.get(Torpor.DRAIN_NODE_ANNOTATION));
    }

    /** Returns how many other saves are at work or queued on the node of one. */
    long othersOfNode(VMSnapshot save, String nodeName) {
        return client
                .resources(VMSnapshot.class)
                .inAnyNamespace()
                .withField("status.nodeName", nodeName)
                .list()
                .getItems()
                .stream()
                .filter(other ->
                        !other.getMetadata().getUid().equals(save.getMetadata().getUid()))
                .filter(other -> other.getStatus() != null
                        && nodeName.equals(other.getStatus().getNodeName())
                        && !SaveProgress.isSaved(other)
                        && !SaveProgress.isEnded(other)
                        && other.getStatus().getFailure() == null)
                .filter(other -> !isQueued(other) || goesFirst(other, save))
                .count();
    }

    /** Returns whether the node's agent lets others go first. */
    static boolean isQueued(VMSnapshot save) {
        return save.getStatus() != null
                && "Queued".equals(Conditions.reason(save.getStatus().getConditions(), ConditionType.SAVED));
    }

    static VmName vmOf(Pod pod) {
        return new VmName(
                pod.getMetadata().getNamespace(),
                Objects.requireNonNull(pod.getMetadata().getLabels().get(Torpor.VM_LABEL)));
    }

    private static boolean goesFirst(VMSnapshot other, VMSnapshot save) {
        return MemoryEstimate.of(other) <= MemoryEstimate.of(save);
    }

    /** Returns what the class that saves of drains use says about nodes that are deleted. */
    OnNodeRemoval onNodeRemoval() {
        return classes.ofDefault()
                .map(VMSnapshotClass::getSpec)
                .map(VMSnapshotClassSpec::onNodeRemoval)
                .orElse(OnNodeRemoval.Block);
    }

    private OnSaveFailure policy(VMSnapshot failed) {
        try {
            Optional<String> named = Optional.ofNullable(failed.getStatus()).map(status -> status.getClassName());
            Optional<String> name = named.isPresent() ? named : classes.resolve(failed.getSpec());
            return name.map(found -> client.resources(VMSnapshotClass.class)
                            .withName(found)
                            .get())
                    .map(found ->
                            found.getSpec() == null ? null : found.getSpec().onSaveFailure())
                    .orElse(OnSaveFailure.Block);
        } catch (TorporException e) {
            LOG.debug("the class of VMSnapshot {}: {}", failed.getMetadata().getName(), e.getMessage());
            return OnSaveFailure.Block;
        }
    }

    private static VMSnapshot make(Pod pod, DrainCause cause, int attempt, boolean cancelled) {
        VmName vm = vmOf(pod);
        var metadata = new ObjectMetaBuilder()
                .withNamespace(vm.namespace())
                .withName(SaveName.of(vm.name(), pod, attempt))
                .addToAnnotations(Torpor.CREATED_BY_ANNOTATION, Torpor.CREATED_BY_DRAIN)
                .addToAnnotations(Torpor.DRAIN_NODE_ANNOTATION, pod.getSpec().getNodeName())
                .addToAnnotations(Torpor.DRAIN_CAUSE_ANNOTATION, cause.name());
        MemoryEstimate.of(pod)
                .ifPresent(bytes -> metadata.addToAnnotations(Torpor.MEMORY_ANNOTATION, Long.toString(bytes)));
        VMSnapshot save = new VMSnapshot();
        save.setMetadata(metadata.build());
        save.setSpec(new VMSnapshotSpec(
                vm.name(),
                SaveMode.ManagedSave,
                null,
                SourceSpec.ofPod(pod.getMetadata().getUid()),
                null,
                DEADLINE_SECONDS,
                cancelled ? true : null,
                null,
                ResumePolicy.WhenReady,
                null));
        return save;
    }
}
