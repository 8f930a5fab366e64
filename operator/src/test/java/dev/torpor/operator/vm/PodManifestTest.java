package dev.torpor.operator.vm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import io.fabric8.kubernetes.api.model.NodeSelectorRequirement;
import io.fabric8.kubernetes.api.model.NodeSelectorRequirementBuilder;
import io.fabric8.kubernetes.api.model.NodeSelectorTerm;
import io.fabric8.kubernetes.api.model.Pod;
import java.util.List;
import org.junit.jupiter.api.Test;

class PodManifestTest {
    @Test
    void whatTheServerAddedIsLeftOut() {
        Pod recorded = PodManifest.of(TestPods.running("web-pod", "u1").build());

        assertThat(recorded.getMetadata().getUid()).isNull();
        assertThat(recorded.getMetadata().getResourceVersion()).isNull();
        assertThat(recorded.getMetadata().getCreationTimestamp()).isNull();
        assertThat(recorded.getStatus()).isNull();
        assertThat(recorded.getSpec().getNodeName()).isNull();
        assertThat(recorded.getSpec().getPriority()).isNull();
        assertThat(recorded.getSpec().getPreemptionPolicy()).isNull();
        assertThat(recorded.getSpec().getVolumes()).extracting("name").containsExactly("torpor");
        assertThat(recorded.getSpec().getContainers().getFirst().getVolumeMounts())
                .extracting("name")
                .containsExactly("torpor");
        assertThat(recorded.getSpec().getTolerations()).extracting("key").containsExactly("example.com/own");
    }

    @Test
    void whatTheAuthorWroteIsKept() {
        Pod recorded = PodManifest.of(TestPods.running("web-pod", "u1").build());

        assertThat(recorded.getMetadata().getName()).isEqualTo("web-pod");
        assertThat(recorded.getMetadata().getLabels()).containsEntry(Torpor.VM_LABEL, "web");
        assertThat(recorded.getMetadata().getAnnotations()).containsEntry("example.com/kept", "yes");
        assertThat(recorded.getSpec().getServiceAccountName()).isEqualTo("default");
        assertThat(recorded.getSpec().getContainers().getFirst().getCommand())
                .containsExactly("/run/torpor/bin/launch", "--", "qemu-system-x86_64");
    }

    @Test
    void controllerAndEarlierRestoreAreForgotten() {
        Pod recorded = PodManifest.of(TestPods.running("web-pod", "u1")
                .editMetadata()
                .addToAnnotations(Torpor.RESTORE_ANNOTATION, "r0")
                .addNewOwnerReference()
                .withName("set")
                .withController(true)
                .endOwnerReference()
                .addNewOwnerReference()
                .withName("app")
                .endOwnerReference()
                .endMetadata()
                .build());

        assertThat(recorded.getMetadata().getAnnotations()).doesNotContainKey(Torpor.RESTORE_ANNOTATION);
        assertThat(recorded.getMetadata().getOwnerReferences())
                .extracting("name")
                .containsExactly("app");
    }

    @Test
    void marksOfToolsThatPruneAreLeftOut() {
        Pod recorded = PodManifest.of(TestPods.running("web-pod", "u1")
                .editMetadata()
                .addToLabels("argocd.argoproj.io/instance", "shop")
                .addToLabels("kustomize.toolkit.fluxcd.io/name", "shop")
                .addToLabels("velero.io/restore-name", "monday")
                .addToLabels("applyset.kubernetes.io/part-of", "applyset-x")
                .addToLabels("app.kubernetes.io/instance", "shop")
                .addToAnnotations("argocd.argoproj.io/tracking-id", "shop:/Pod:vms/web-pod")
                .addToAnnotations("config.k8s.io/owning-inventory", "x")
                .endMetadata()
                .build());

        assertThat(recorded.getMetadata().getLabels()).containsOnlyKeys(Torpor.VM_LABEL, "app.kubernetes.io/instance");
        assertThat(recorded.getMetadata().getAnnotations()).containsOnlyKeys("example.com/kept");
    }

    @Test
    void restoreRequiresTheNodeOfTheImage() {
        Pod pod = PodManifest.forRestore(
                PodManifest.of(TestPods.running("web-pod", "u1").build()), "r1", "n2");

        assertThat(pod.getMetadata().getAnnotations()).containsEntry(Torpor.RESTORE_ANNOTATION, "r1");
        assertThat(terms(pod)).singleElement().satisfies(term -> assertNode(term, "n2"));
    }

    @Test
    void nodeIsRequiredInEachAlternativeAndReplacesAnEarlierOne() {
        Pod recorded = TestPods.running("web-pod", "u1")
                .editSpec()
                .withNewAffinity()
                .withNewNodeAffinity()
                .withNewRequiredDuringSchedulingIgnoredDuringExecution()
                .addNewNodeSelectorTerm()
                .addToMatchExpressions(requirement("zone", "a"))
                .addToMatchFields(requirement("metadata.name", "n1"))
                .endNodeSelectorTerm()
                .addNewNodeSelectorTerm()
                .addToMatchExpressions(requirement("zone", "b"))
                .endNodeSelectorTerm()
                .endRequiredDuringSchedulingIgnoredDuringExecution()
                .endNodeAffinity()
                .endAffinity()
                .endSpec()
                .build();

        assertThat(terms(PodManifest.forRestore(recorded, "r1", "n2")))
                .hasSize(2)
                .allSatisfy(term -> {
                    assertNode(term, "n2");
                    assertThat(term.getMatchExpressions()).hasSize(1);
                });
    }

    private static NodeSelectorRequirement requirement(String key, String value) {
        return new NodeSelectorRequirementBuilder()
                .withKey(key)
                .withOperator("In")
                .withValues(value)
                .build();
    }

    private static List<NodeSelectorTerm> terms(Pod pod) {
        return pod.getSpec()
                .getAffinity()
                .getNodeAffinity()
                .getRequiredDuringSchedulingIgnoredDuringExecution()
                .getNodeSelectorTerms();
    }

    private static void assertNode(NodeSelectorTerm term, String node) {
        assertThat(term.getMatchFields()).singleElement().satisfies(field -> {
            assertThat(field.getKey()).isEqualTo("metadata.name");
            assertThat(field.getValues()).containsExactly(node);
        });
    }
}
