package dev.torpor.e2e.demo;

import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.cluster.Teardown;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import dev.torpor.e2e.tree.WorkTree;
import dev.torpor.telemetry.log.LogSettings;
import dev.torpor.telemetry.log.Logging;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Saves a VM and brings it back, on a node of its own or on the one of {@code KUBECONFIG}, and tells what it does. Exit
 * code 0 means: the guest that ran after the restore is the one that was saved.
 */
public final class Demo {
    private static final String NAMESPACE = "torpor-demo";
    private static final String POD = "web";
    private static final int TICKS_SHOWN = 4;
    private static final int AWAY_SECONDS = 3;
    /** Slow enough that there is something to see: the example's VM is written in five to ten seconds. */
    private static final String SLOW_CLASS = """
            apiVersion: torpor.dev/v1alpha1
            kind: VMSnapshotClass
            metadata:
              name: torpor-demo
              annotations: {torpor.dev/is-default-class: "true"}
            spec:
              bandwidthBytesPerSecond: 16777216
            """;

    private final Story story = new Story();
    private final Teardown teardown = new Teardown("the demo");
    private final @Nullable Path kubeconfig;
    private @Nullable InstalledTorpor torpor;

    private Demo(@Nullable Path kubeconfig) {
        this.kubeconfig = kubeconfig;
    }

    /** Runs the demo; takes no arguments. */
    public static void main(String[] arguments) {
        // The demo speaks for itself; of its libraries only what is odd is shown.
        Logging.apply(new LogSettings(LogSettings.Format.TEXT, LogSettings.Level.WARN));
        System.exit(shows(System.getenv()) ? 0 : 1);
    }

    /**
     * Runs the demo.
     *
     * @param environment settings, as {@code tools/demo.sh} describes them
     * @return whether the VM came back as it was, and nothing was left behind
     */
    public static boolean shows(Map<String, String> environment) {
        String kubeconfig = environment.getOrDefault("KUBECONFIG", "");
        return new Demo(kubeconfig.isEmpty() ? null : Path.of(kubeconfig)).shown(environment);
    }

    private boolean shown(Map<String, String> environment) {
        boolean shown = false;
        try {
            run(environment);
            shown = true;
        } catch (IOException | RuntimeException e) {
            story.step("FAILED: " + e.getMessage());
            if (torpor != null) {
                story.output(torpor.describe());
            }
        } catch (InterruptedException e) {
            story.step("Interrupted");
        }
        story.step("Taking everything away");
        try {
            teardown.close();
        } catch (IllegalStateException e) {
            story.output(e + ", because of " + e.getCause());
            shown = false;
        }
        story.step(shown ? "Done: nothing is left running" : "The demo FAILED");
        return shown;
    }

    private void run(Map<String, String> environment) throws IOException, InterruptedException {
        DemoCluster cluster = kubeconfig == null
                ? DemoCluster.start(teardown, story)
                : DemoCluster.existing(kubeconfig, environment, story);
        Kubectl kubectl = cluster.kubectl();
        story.output(kubectl.run("get", "nodes", "-o", "wide"));

        story.step("Installing Torpor from its chart: two operators, of which one leads, and an agent on each node");
        InstalledTorpor installed =
                new InstalledTorpor(kubectl, cluster.kubeconfig(), cluster.kubeletRoot(), cluster.store());
        torpor = installed;
        new Installation(cluster, installed, NAMESPACE, teardown).install(story);
        if (kubectl.run("get", "vmsnapshotclasses", "-o", "name").isBlank()) {
            kubectl.runWithInput(SLOW_CLASS, "apply", "-f", "-");
        }
        story.command("kubectl get pods -n " + InstalledTorpor.NAMESPACE);
        story.output(kubectl.run("get", "pods", "-n", InstalledTorpor.NAMESPACE));
        story.output("everything below is in the namespace " + NAMESPACE);

        Tick before = boot(kubectl);
        double saved = story.seconds();
        TimeUnit.SECONDS.sleep(AWAY_SECONDS);
        Tick after = restore(kubectl);
        prove(before, after, story.seconds() - saved);
    }

    /** Boots the VM, saves it, shows the image, and returns the last tick before. */
    private Tick boot(Kubectl kubectl) throws InterruptedException {
        story.step(
                "Starting a VM: an ordinary pod that runs QEMU, plus a label. Its guest counts seconds, and shows a");
        story.output("number (nonce) that it made at boot and that is nowhere but in its RAM");
        apply(kubectl, "vm-pod.yaml");
        try (GuestLog log = GuestLog.follow(kubectl, NAMESPACE, POD, line -> story.output(POD + ": " + line))) {
            log.awaitTicks(TICKS_SHOWN);

            story.step("Saving the VM's memory to a file, and stopping the VM"
                    + " (slowed down, so that there is something to see)");
            try (Watch _ = watch(kubectl, "vmsnap")) {
                apply(kubectl, "save.yaml");
                waitReady(kubectl, "vmsnap/web-saved");
            }
            log.awaitEnd();
            story.step("The VM is a file now; its pod is gone");
            show(kubectl, "get", "pods");
            show(kubectl, "get", "vmsnap", "-o", "wide");
            inspect(kubectl);
            return log.ticks().getLast();
        }
    }

    private void inspect(Kubectl kubectl) {
        String uid = kubectl.run("get", "vmsnap/web-saved", "-n", NAMESPACE, "-o", "jsonpath={.metadata.uid}");
        String store = Objects.requireNonNull(torpor).store().toString();
        String[] command = {
            "exec",
            "-n",
            InstalledTorpor.NAMESPACE,
            "ds/torpor-agent",
            "--",
            "torpor-agent",
            "image",
            "inspect",
            "--store",
            store,
            uid
        };
        story.command("kubectl " + String.join(" ", command));
        story.output(kubectl.run(command));
    }

    /** Brings the VM back and returns its first tick. */
    private Tick restore(Kubectl kubectl) {
        story.step("Bringing the VM back");
        try (GuestLog log = GuestLog.follow(kubectl, NAMESPACE, POD, line -> story.output(POD + ": " + line))) {
            try (Watch _ = watch(kubectl, "vmrest")) {
                apply(kubectl, "restore.yaml");
                waitReady(kubectl, "vmrest/web-back");
                log.awaitTicks(TICKS_SHOWN);
            }
            show(kubectl, "get", "vmrest", "-o", "wide");
            return log.ticks().getFirst();
        }
    }

    private void prove(Tick before, Tick after, double awaySeconds) {
        story.step("Is it the same VM?");
        story.output("last tick before:  " + before.number() + ", nonce " + before.nonce());
        story.output("first tick after:  " + after.number() + ", nonce " + after.nonce());
        if (!after.nonce().equals(before.nonce())) {
            throw new IllegalStateException("the nonce is another one: the guest was booted anew");
        }
        if (after.number() <= before.number()) {
            throw new IllegalStateException("the counter did not go on");
        }
        story.output(String.format(
                Locale.ROOT,
                "Yes: the nonce is the same, and the counter went on from %d to %d, though %.0f s have passed.",
                before.number(),
                after.number(),
                awaySeconds));
    }

    private Watch watch(Kubectl kubectl, String kind) {
        story.command("kubectl get " + kind + " -w");
        return new Watch(kubectl, story::output, "get", kind, "-n", NAMESPACE, "-w");
    }

    private void waitReady(Kubectl kubectl, String object) {
        show(kubectl, "wait", "--for=condition=Ready", "--timeout=180s", object);
    }

    private void apply(Kubectl kubectl, String example) {
        story.command("kubectl apply -f examples/" + example);
        Path file = WorkTree.root().resolve("examples").resolve(example);
        story.output(kubectl.run("apply", "-n", NAMESPACE, "-f", file.toString()));
    }

    private void show(Kubectl kubectl, String... arguments) {
        story.command("kubectl " + String.join(" ", arguments));
        String[] all = new String[arguments.length + 2];
        System.arraycopy(arguments, 0, all, 0, arguments.length);
        all[arguments.length] = "-n";
        all[arguments.length + 1] = NAMESPACE;
        story.output(kubectl.run(all));
    }
}
