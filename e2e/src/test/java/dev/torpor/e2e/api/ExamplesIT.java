package dev.torpor.e2e.api;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMRestore;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.e2e.cluster.ControlPlane;
import dev.torpor.e2e.cluster.ControlPlaneExtension;
import dev.torpor.e2e.cluster.TestNamespace;
import dev.torpor.e2e.tree.WorkTree;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The manifests that people copy. */
@Tag("api")
@ExtendWith(ControlPlaneExtension.class)
class ExamplesIT {
    private static final Path EXAMPLES = WorkTree.root().resolve("examples");

    static Stream<String> examples() {
        try (var files = Files.list(EXAMPLES)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @ParameterizedTest
    @MethodSource("examples")
    void isAccepted(String example, ControlPlane cluster, @TestNamespace String namespace) {
        assertThat(cluster.kubectl(
                        "apply",
                        "--dry-run=server",
                        "-n",
                        namespace,
                        "-f",
                        EXAMPLES.resolve(example).toString()))
                .contains("created (server dry run)")
                .doesNotContain("Warning");
    }

    @Test
    void podForAClusterWithoutTheWebhookIsWiredForTheLauncher() throws IOException {
        Pod pod = Serialization.unmarshal(Files.readString(EXAMPLES.resolve("vm-pod-without-webhook.yaml")), Pod.class);

        assertThat(pod.getMetadata().getLabels()).containsKey(Torpor.VM_LABEL);
        assertThat(pod.getSpec().getContainers()).singleElement().satisfies(qemu -> {
            assertThat(qemu.getCommand()).startsWith("/run/torpor/bin/launch", "--");
            assertThat(qemu.getVolumeMounts())
                    .anyMatch(mount -> mount.getName().equals(Torpor.VOLUME)
                            && mount.getMountPath().equals("/run/torpor"));
        });
        assertThat(pod.getSpec().getVolumes())
                .filteredOn(volume -> volume.getName().equals(Torpor.VOLUME))
                .singleElement()
                .satisfies(volume -> assertThat(volume.getEmptyDir()).isNotNull());
    }

    @Test
    void restoreNamesTheSavedSnapshot() throws IOException {
        VMSnapshot save = Serialization.unmarshal(Files.readString(EXAMPLES.resolve("save.yaml")), VMSnapshot.class);
        VMRestore restore =
                Serialization.unmarshal(Files.readString(EXAMPLES.resolve("restore.yaml")), VMRestore.class);

        assertThat(restore.getSpec().snapshotName())
                .isEqualTo(save.getMetadata().getName());
    }
}
