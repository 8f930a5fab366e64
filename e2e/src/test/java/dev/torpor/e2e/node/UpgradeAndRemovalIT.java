package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.cluster.Kubectl;
import dev.torpor.e2e.guest.Tick;
import dev.torpor.e2e.install.InstalledTorpor;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The chart is upgraded, taken away and installed again: VMs run on, images and their objects survive. */
@Tag("node")
@ExtendWith(InstalledTorporExtension.class)
class UpgradeAndRemovalIT {
    private static final String[] BUNDLES = {
        "get",
        "mutatingwebhookconfiguration/torpor",
        "validatingwebhookconfiguration/torpor",
        "-o",
        "jsonpath={.items[*].webhooks[*].clientConfig.caBundle}"
    };

    @Test
    void anUpgradeKeepsTheWebhooksBundle(Scene scene) {
        Tick before = scene.start(VmManifest.of("web"));
        String bundles = scene.kubectl.run(BUNDLES);
        String pods = scene.torpor.pods("operator").toString();

        scene.torpor.upgrade();
        assertThat(scene.kubectl.run(BUNDLES)).isEqualTo(bundles);
        assertThat(scene.torpor.pods("operator")).as("nothing changed").hasToString(pods);

        assertThat(scene.torpor.refusals()).isEmpty();
        scene.torpor.upgrade("agent.savesAtOnce=3", "logging.level=debug");
        assertThat(scene.kubectl.run(BUNDLES)).isEqualTo(bundles);
        scene.awaitGoingOn("web", before);
        // The webhook answers, and so does the new agent.
        scene.start(VmManifest.of("late"));
    }

    @Test
    void imagesSurviveRemovalAndInstallingAgain(Scene scene) {
        Tick before = scene.start(VmManifest.of("web").memory(192, 16));
        scene.snapshot("web-saved", "web");
        scene.awaitReady("vmsnap/web-saved");
        assertThat(scene.torpor.refusals()).isEmpty();

        Kubectl.Result refused = scene.torpor.uninstall();
        assertThat(refused.code()).as(refused.output()).isNotZero();
        assertThat(scene.kubectl.run("logs", "-n", InstalledTorpor.NAMESPACE, "job/torpor-uninstall"))
                .contains("A VM waits in an image:", scene.namespace + "/web-saved", "uninstall.force=true");
        assertThat(scene.kubectl.run(BUNDLES))
                .as("webhooks of a Torpor that stays")
                .isNotBlank();

        scene.torpor.rollBack();
        scene.torpor.upgrade("uninstall.force=true");
        Kubectl.Result removed = scene.torpor.uninstall();
        try {
            assertThat(removed.code()).as(removed.output()).isZero();
            assertThat(scene.kubectl.run("get", "crds", "-o", "name")).contains("vmsnapshots.torpor.dev");
            assertThat(scene.tryKubectl("get", "mutatingwebhookconfiguration/torpor")
                            .output())
                    .contains("NotFound");
            assertThat(scene.torpor.store().resolve(scene.field("vmsnap/web-saved", ".status.image.path")))
                    .exists();
            // No webhook is left that could refuse a pod.
            scene.apply(VmManifest.of("ordinary").pod());
            scene.kubectl("delete", "pod", "ordinary", "--timeout=60s");
        } finally {
            scene.torpor.install();
        }

        scene.restore("web-back", "web-saved");
        scene.awaitReady("vmrest/web-back");
        scene.awaitGoingOn("web", before);
    }
}
