package dev.torpor.operator.uninstall;

import dev.torpor.api.status.Conditions;
import dev.torpor.api.v1alpha1.ConditionType;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.SnapshotPhase;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotStatus;
import dev.torpor.operator.drain.VmBudgets;
import io.fabric8.kubernetes.client.KubernetesClient;
import java.io.PrintStream;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;

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
        List<VMSnapshot> waiting = client.resources(VMSnapshot.class).inAnyNamespace().list().getItems().stream()
                .filter(UninstallGuard::waits)
                .sorted(Comparator.comparing(UninstallGuard::nameOf))
                .toList();
        if (!waiting.isEmpty()) {
            out.println(waiting.size() == 1 ? "A VM waits in an image:" : waiting.size() + " VMs wait in images:");
            waiting.forEach(snapshot -> out.println("  " + describe(snapshot)));
            if (!force) {
                out.println("Torpor stays: nothing else can start them again where they were. The images are safe."
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

    /** Tells whether a VM is stopped, or about to be, with its memory in this snapshot's image only. */
    static boolean waits(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        SnapshotPhase phase = status == null ? null : status.getPhase();
        if (phase == null) {
            return false;
        }
        return switch (phase) {
            // A checkpoint's VM runs by itself, but it is paused in the middle of one.
            case Bound, Saving -> true;
            case Saved, Resuming -> snapshot.getSpec().mode() != SaveMode.Checkpoint;
            case Ready ->
                snapshot.getSpec().mode() != SaveMode.Checkpoint
                        && Conditions.isTrue(status.getConditions(), ConditionType.READY);
            case Pending, Consumed, Cancelled, Failed, Expired -> false;
        };
    }

    private static String describe(VMSnapshot snapshot) {
        VMSnapshotStatus status = snapshot.getStatus();
        return "VMSnapshot %s of VM %s on node %s: %s"
                .formatted(nameOf(snapshot), snapshot.getSpec().vmName(), status.getNodeName(), status.getPhase());
    }

    private static String nameOf(VMSnapshot snapshot) {
        return Optional.ofNullable(snapshot.getMetadata().getNamespace()).orElse("") + "/"
                + snapshot.getMetadata().getName();
    }
}
