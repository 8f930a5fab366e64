package dev.torpor.operator.uninstall;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.drain.VmBudgets;
import dev.torpor.operator.vm.ManagedImages;
import dev.torpor.operator.vm.Terminations;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.PrintStream;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Refuses to have Torpor uninstalled while the memory of a stopped VM is in an image only, or is on its way there or back:
 * nothing else could start that VM again where it was. Where nothing stands against it, or it is forced, the webhooks go
 * first, as a webhook without an operator behind it refuses every pod of a VM; then the budgets that hold VMs. Images and objects stay in any case, and the
 * next install finds them.
 */
public final class UninstallGuard {
    /** Name of both webhook configurations. */
    private static final String WEBHOOKS = "torpor";

    private final KubernetesClient client;
    private final PrintStream out;

    /** The client stays the caller's; what people should read goes to {@code out}. */
    public UninstallGuard(KubernetesClient client, PrintStream out) {
        this.client = client;
        this.out = out;
    }

    /**
     * Prepares the end of the installation, or refuses it.
     *
     * @param force whether to go on although VMs wait
     * @return whether Torpor may be uninstalled
     */
    public boolean prepare(boolean force) {
        List<String> waiting = waiting();
        if (!waiting.isEmpty()) {
            out.println(waiting.size() == 1 ? "A VM waits in an image:" : waiting.size() + " VMs wait in images:");
            waiting.forEach(line -> out.println("  " + line));
            if (!force) {
                out.println(
                        "Torpor stays: nothing else can start them again where they were. The images stay as they are."
                                + " Restore these VMSnapshots or delete them, and uninstall again. Helm takes the release for half"
                                + " removed now, though nothing is: helm rollback to its last revision mends that. To uninstall all"
                                + " the same, roll back, then helm upgrade --reuse-values --set uninstall.force=true: the images"
                                + " stay on their nodes, and the next install finds them.");
                return false;
            }
            out.println("Uninstalling all the same, as uninstall.force says: the images stay on their nodes.");
        }
        var admission = client.admissionRegistration().v1();
        var _ = admission.mutatingWebhookConfigurations().withName(WEBHOOKS).delete();
        var _ = admission.validatingWebhookConfigurations().withName(WEBHOOKS).delete();
        // After the webhooks: the operator, which is still there, makes no new ones without them.
        int budgets = VmBudgets.removeAll(client);
        if (budgets > 0) {
            out.println("PodDisruptionBudgets %s deleted: %d.".formatted(VmBudgets.NAME, budgets));
        }
        out.println("The webhooks are gone. Nothing stands against uninstalling.");
        return true;
    }

    private List<String> waiting() {
        // In this order: an image that gets its snapshot in between is seen twice, not missed.
        List<NodeStore> stores = client.resources(NodeStore.class).list().getItems();
        List<VMSnapshot> snapshots =
                client.resources(VMSnapshot.class).inAnyNamespace().list().getItems();
        List<VMSnapshot> ofSnapshots =
                snapshots.stream().filter(UninstallGuard::waits).toList();
        return Stream.concat(
                        ofSnapshots.stream().map(UninstallGuard::describe),
                        ManagedImages.undecided(stores, snapshots).stream()
                                .filter(found -> ofSnapshots.stream()
                                        .noneMatch(snapshot -> Terminations.standsFor(snapshot, found.save())))
                                .map(UninstallGuard::describe))
                .sorted()
                .toList();
    }

    /** Tells whether a VM is stopped, or about to be, with its memory in this snapshot's image only. */
    static boolean waits(VMSnapshot snapshot) {
        return ManagedImages.isOnlyMemory(snapshot) || isUnderWay(snapshot);
    }

    private static boolean isUnderWay(VMSnapshot snapshot) {
        return switch (phaseOf(snapshot)) {
            // It asks for no save: an agent has made the image already, or is making it.
            case Pending -> Terminations.isAdopting(snapshot) && !ManagedImages.isDiscarded(snapshot);
            // A checkpoint's VM runs by itself, but it is paused in the middle of one.
            case Bound, Saving -> true;
            case Saved, Resuming -> snapshot.getSpec().mode() != SaveMode.Checkpoint;
            case Ready, Consumed, Cancelled, Failed, Expired -> false;
        };
    }

    /** Returns the phase; what has none yet is as good as Pending. */
    private static SnapshotPhase phaseOf(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return status == null || status.getPhase() == null ? SnapshotPhase.Pending : status.getPhase();
    }

    private static String describe(VMSnapshot snapshot) {
        Optional<VMSnapshotStatus> status = Optional.ofNullable(snapshot.getStatus());
        return "VMSnapshot %s/%s of VM %s on %s: %s%s"
                .formatted(
                        snapshot.getMetadata().getNamespace(),
                        snapshot.getMetadata().getName(),
                        snapshot.getSpec().vmName(),
                        status.map(VMSnapshotStatus::getNodeName)
                                .map(node -> "node " + node)
                                .orElse("no node yet"),
                        phaseOf(snapshot),
                        status.filter(_ -> phaseOf(snapshot) == SnapshotPhase.Ready)
                                .flatMap(seen -> Conditions.find(seen.getConditions(), ConditionType.READY))
                                .filter(ready -> !"True".equals(ready.getStatus()))
                                .map(ready -> ", but it cannot be restored: " + ready.getReason())
                                .orElse(""));
    }

    private static String describe(Terminations.Found found) {
        TerminationSave save = found.save();
        return "VM %s/%s on node %s: its agent %s by itself, and VMSnapshot %s does not tell of it yet"
                .formatted(
                        save.namespace(),
                        save.vmName(),
                        found.nodeName(),
                        Boolean.TRUE.equals(save.saved()) ? "saved it" : "saves it",
                        save.snapshotName());
    }
}
