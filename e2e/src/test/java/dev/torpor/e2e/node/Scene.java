package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.RealCluster;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.awaitility.core.ConditionTimeoutException;

/**
 * What one test works with: the shared cluster with Torpor installed, and a namespace of its own. Everything is asked and
 * told by {@code kubectl}, as people do.
 */
final class Scene {
    static final Duration PATIENCE = Duration.ofMinutes(3);
    private static final String TIMEOUT = "--timeout=180s";

    final RealCluster cluster;
    final InstalledTorpor torpor;
    final String namespace;
    final Kubectl kubectl;

    Scene(RealCluster cluster, InstalledTorpor torpor, String namespace) {
        this.cluster = cluster;
        this.torpor = torpor;
        this.namespace = namespace;
        this.kubectl = cluster.kubectl();
    }

    /** Runs a command in the namespace, which must succeed, and returns its output. */
    String kubectl(String... arguments) {
        return kubectl.run(inNamespace(arguments));
    }

    /** Runs a command in the namespace, which may fail. */
    Kubectl.Result tryKubectl(String... arguments) {
        return kubectl.tryRun(inNamespace(arguments));
    }

    private String[] inNamespace(String... arguments) {
        String[] all = new String[arguments.length + 2];
        all[0] = "--namespace";
        all[1] = namespace;
        System.arraycopy(arguments, 0, all, 2, arguments.length);
        return all;
    }

    /** Waits until the webhook answers: after a restart of the kubelet its pods are Ready, not Ready for a while, and Ready. */
    void awaitWebhook() {
        await("the webhook")
                .atMost(PATIENCE)
                .until(() -> kubectl.tryWithInput(
                                        VmManifest.of("asks").pod(),
                                        inNamespace("apply", "--dry-run=server", "-f", "-"))
                                .code()
                        == 0);
    }

    /** Applies a manifest, and returns what kubectl says, warnings too. */
    String apply(String manifest) {
        return kubectl.runWithInput(manifest, inNamespace("apply", "-f", "-"));
    }

    /** Applies a manifest that must be refused, and returns what kubectl says. */
    String applyRefused(String manifest) {
        Kubectl.Result result = kubectl.tryWithInput(manifest, inNamespace("apply", "-f", "-"));
        assertThat(result.code()).as("must be refused: %s", result.output()).isNotZero();
        return result.output();
    }

    /** Starts a VM as a bare pod, and waits until its guest has ticked. */
    Tick start(VmManifest vm) {
        apply(vm.pod());
        return awaitTick(vm.name());
    }

    /** Returns the guest's lines in a pod's log. */
    List<Tick> ticks(String pod) {
        return tryKubectl("logs", pod)
                .output()
                .lines()
                .map(Tick::parse)
                .flatMap(Optional::stream)
                .toList();
    }

    /** Waits for the guest of a pod to tick, twice, and returns the last one. */
    Tick awaitTick(String pod) {
        try {
            return await("ticks of " + pod)
                    .atMost(PATIENCE)
                    .pollInterval(Duration.ofMillis(300))
                    .until(() -> ticks(pod), ticks -> ticks.size() >= 2)
                    .getLast();
        } catch (ConditionTimeoutException e) {
            throw new AssertionError(
                    e.getMessage() + "\n"
                            + tryKubectl("describe", "pod", pod).output()
                            + tryKubectl("logs", pod, "--all-containers").output(),
                    e);
        }
    }

    /** Waits until the guest of a pod ticks on from a tick, and that nothing of its memory has changed. */
    void awaitGoingOn(String pod, Tick from) {
        List<Tick> after = await("further ticks of " + pod)
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(300))
                .until(
                        () -> ticks(pod),
                        ticks -> !ticks.isEmpty() && ticks.getLast().number() > from.number());
        assertThat(after).allSatisfy(tick -> {
            assertThat(tick.nonce()).isEqualTo(from.nonce());
            assertThat(tick.memoryWrong()).isFalse();
        });
    }

    /** Creates a VMSnapshot; {@code spec} are further lines of its spec. */
    void snapshot(String name, String vm, String... spec) {
        apply(custom("VMSnapshot", name, "vmName: " + vm, spec));
    }

    /** Creates a VMRestore; {@code spec} are further lines of its spec. */
    void restore(String name, String snapshot, String... spec) {
        apply(custom("VMRestore", name, "snapshotName: " + snapshot, spec));
    }

    static String custom(String kind, String name, String first, String... spec) {
        StringBuilder yaml = new StringBuilder("apiVersion: torpor.dev/v1alpha1\nkind: " + kind + "\nmetadata: {name: "
                + name + "}\nspec:\n  " + first + "\n");
        for (String line : spec) {
            yaml.append("  ").append(line).append('\n');
        }
        return yaml.toString();
    }

    /** Waits as a person would, and shows what a person would look at if that is in vain. */
    void awaitReady(String object) {
        awaitCondition(object, "Ready");
    }

    /** Waits until all pages of an image were read back: from then on restores may be lazy unasked. */
    void awaitVerified(String snapshot) {
        awaitCondition(snapshot, "Verified");
    }

    /** Waits for the end of something that cannot be done, and returns its reason and message. */
    String awaitFailure(String object) {
        awaitCondition(object, "Stalled");
        return kubectl(
                "get",
                object,
                "-o",
                "jsonpath={range .status.conditions[?(@.type=='Stalled')]}{.reason}: {.message}{end}");
    }

    /** Waits until something is not ready for a reason that may pass, and returns the message. */
    String awaitTrouble(String object, String reason) {
        return await(object + " in trouble")
                .atMost(PATIENCE)
                .until(
                        () -> field(object, ".status.conditions[?(@.type=='Ready')]"),
                        condition -> condition.contains("\"reason\":\"" + reason + "\""));
    }

    private void awaitCondition(String object, String condition) {
        Kubectl.Result result = tryKubectl("wait", "--for=condition=" + condition, TIMEOUT, object);
        assertThat(result.code())
                .as(() ->
                        result.output() + "\n" + tryKubectl("describe", object).output() + torpor.describe())
                .isZero();
    }

    /** Returns one field of an object. */
    String field(String object, String path) {
        return kubectl("get", object, "-o", "jsonpath={" + path + "}");
    }

    /** Waits until an image was used up, which is told a moment after its VM is back. */
    void awaitConsumed(String snapshot) {
        await(snapshot + " is consumed").atMost(PATIENCE).untilAsserted(() -> assertThat(
                        field(snapshot, ".status.phase"))
                .isEqualTo("Consumed"));
    }

    /** Waits until the kubelet tells of all pods of a namespace: one that has just started knows of none. */
    void awaitPodsKnown(String ofNamespace) {
        await("logs of all pods of " + ofNamespace).atMost(PATIENCE).until(() -> kubectl
                // Those that it refused have none, and stay.
                .run("get", "pods", "-n", ofNamespace, "-o", "name", "--field-selector=status.phase!=Failed")
                .lines()
                .allMatch(pod -> kubectl.tryRun("logs", "-n", ofNamespace, pod, "--tail=1")
                                .code()
                        == 0));
    }

    /** Waits until a save is in the middle of writing; it need not be there yet. */
    void awaitWriting(String snapshot) {
        await("bytes of " + snapshot)
                .atMost(PATIENCE)
                .pollInterval(Duration.ofMillis(200))
                .ignoreExceptions()
                .until(
                        () -> field(snapshot, ".status.progress.doneBytes"),
                        done -> !done.isEmpty() && !"0".equals(done));
    }

    /** Takes away what the test left, so that its guests don't take the processor from the next one. */
    void close() {
        tryKubectl("delete", "vmrestores,vmsnapshots,statefulsets,deployments,daemonsets,pods", "--all", TIMEOUT);
        tryKubectl("delete", "namespace", namespace, "--wait=false");
    }
}
