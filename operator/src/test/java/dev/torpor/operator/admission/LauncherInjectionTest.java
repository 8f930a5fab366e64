package dev.torpor.operator.admission;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.operator.vm.PodManifest;
import dev.torpor.operator.vm.TestPods;
import io.fabric8.kubernetes.api.model.Container;
import io.fabric8.kubernetes.api.model.Pod;
import io.fabric8.kubernetes.api.model.PodBuilder;
import io.fabric8.kubernetes.api.model.PodReadinessGate;
import io.fabric8.kubernetes.api.model.Toleration;
import io.fabric8.kubernetes.api.model.TolerationBuilder;
import io.fabric8.kubernetes.client.utils.Serialization;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class LauncherInjectionTest {
    private static final LauncherInjection PLAIN =
            new LauncherInjection(new InjectionSettings("torpor-launcher:local", Optional.empty(), false));
    private static final LauncherInjection WITH_IMAGES =
            new LauncherInjection(new InjectionSettings("launcher", Optional.of("/var/lib/torpor"), false));
    private static final LauncherInjection WITH_GATE =
            new LauncherInjection(new InjectionSettings("launcher", Optional.empty(), true));

    @Test
    void exampleBecomesWhatTheOtherExampleWritesOut() throws IOException {
        Pod injected = inject(example("vm-pod.yaml"));
        Pod byHand = new PodBuilder(example("vm-pod-without-webhook.yaml"))
                .editSpec()
                // Said there for tests without a registry; left to Kubernetes' default here.
                .editFirstInitContainer()
                .withImagePullPolicy(null)
                .endInitContainer()
                // The default.
                .withRestartPolicy(null)
                .endSpec()
                .build();

        assertThat(fields(injected)).isEqualTo(fields(byHand));
    }

    @Test
    void doingItTwiceIsDoingItOnce() {
        Pod once = inject(Requests.vmPod().build());

        assertThat(PLAIN.inject(Requests.creation(once), true)).isSameAs(once);
    }

    @Test
    void podThatIsWiredByHandStaysAsItIs() throws IOException {
        Pod byHand = example("vm-pod-without-webhook.yaml");

        assertThat(WITH_IMAGES.inject(Requests.creation(byHand), true)).isSameAs(byHand);
    }

    @Test
    void recordedManifestOfAnInjectedPodStaysAsItIs() {
        Pod running = inject(Requests.vmPod().build());
        Pod recreated = PodManifest.forRestore(PodManifest.of(running), "r1", "n1");

        assertThat(PLAIN.inject(Requests.creation(recreated), true)).isSameAs(recreated);
        assertThat(recreated.getSpec().getTolerations())
                .isEqualTo(running.getSpec().getTolerations());
    }

    @Test
    void recordedManifestOfAPodThatWasWiredByHandStaysAsItIs() {
        Pod recreated = PodManifest.forRestore(
                PodManifest.of(TestPods.running("web", "u1").build()), "r1", "n1");

        assertThat(PLAIN.inject(Requests.creation(recreated), true)).isSameAs(recreated);
    }

    @Test
    void optingOutLeavesThePodAlone() {
        Pod pod = PodRulesTest.annotated(Requests.vmPod(), Torpor.INJECT_ANNOTATION, "false")
                .build();

        assertThat(inject(pod)).isSameAs(pod);
    }

    @Test
    void podIsReadyOnlyWhileItsGuestRunsBesidesWhatItsAuthorAsksFor() {
        Pod authors = Requests.vmPod()
                .editSpec()
                .addNewReadinessGate("example.com/theirs")
                .endSpec()
                .build();

        assertThat(gates(WITH_GATE.inject(Requests.creation(authors), false)))
                .containsExactly("example.com/theirs", "torpor.dev/guest-running");
        assertThat(gates(inject(authors))).containsExactly("example.com/theirs");
        assertThat(gates(WITH_GATE.inject(
                        Requests.creation(Requests.vmPod()
                                .editSpec()
                                .addNewReadinessGate("torpor.dev/guest-running")
                                .endSpec()
                                .build()),
                        false)))
                .as("once is enough")
                .containsExactly("torpor.dev/guest-running");
    }

    @Test
    void recordedManifestKeepsTheGateOfItsPod() {
        Pod running = WITH_GATE.inject(Requests.creation(Requests.vmPod().build()), false);

        assertThat(gates(PodManifest.of(running))).containsExactly("torpor.dev/guest-running");
        assertThat(gates(inject(PodManifest.of(running)))).containsExactly("torpor.dev/guest-running");
    }

    private static List<String> gates(Pod pod) {
        return pod.getSpec().getReadinessGates().stream()
                .map(PodReadinessGate::getConditionType)
                .toList();
    }

    @Test
    void onlyTheNamedContainerIsLaunchedAndTheLauncherComesFirst() {
        Pod injected = inject(
                PodRulesTest.annotated(PodRulesTest.withSidecar(Requests.vmPod()), Torpor.CONTAINER_ANNOTATION, "qemu")
                        .editSpec()
                        .addNewInitContainer()
                        .withName("disk")
                        .endInitContainer()
                        .endSpec()
                        .build());

        assertThat(injected.getSpec().getInitContainers())
                .extracting("name")
                .containsExactly("torpor-launcher", "disk");
        assertThat(injected.getSpec().getContainers().getFirst().getCommand())
                .containsExactly("/run/torpor/bin/launch", "--", "qemu-system-x86_64");
        assertThat(injected.getSpec().getContainers().getLast())
                .isEqualTo(PodRulesTest.withSidecar(Requests.vmPod())
                        .buildSpec()
                        .getContainers()
                        .getLast());
    }

    @Test
    void launcherRunsAsTheUserOfQemu() {
        Pod byPod = Requests.vmPod()
                .editSpec()
                .withNewSecurityContext()
                .withRunAsUser(1000L)
                .endSecurityContext()
                .endSpec()
                .build();
        Pod byContainer = new PodBuilder(byPod)
                .editSpec()
                .editFirstContainer()
                .withNewSecurityContext()
                .withRunAsUser(107L)
                .endSecurityContext()
                .endContainer()
                .endSpec()
                .build();

        assertThat(launcher(inject(byPod)).getSecurityContext().getRunAsUser()).isEqualTo(1000);
        assertThat(launcher(inject(byContainer)).getSecurityContext().getRunAsUser())
                .isEqualTo(107);
    }

    @Test
    void launcherIsNeverRoot() {
        Pod root = Requests.vmPod()
                .editSpec()
                .withNewSecurityContext()
                .withRunAsUser(0L)
                .endSecurityContext()
                .endSpec()
                .build();

        assertThat(launcher(inject(root)).getSecurityContext().getRunAsUser()).isEqualTo(65532);
        assertThat(launcher(inject(root)).getSecurityContext().getRunAsNonRoot())
                .isTrue();
    }

    @Test
    void hookOfTheAuthorStays() {
        Pod own = new PodBuilder(Requests.vmPod().build())
                .editSpec()
                .editFirstContainer()
                .withNewLifecycle()
                .withNewPreStop()
                .withNewExec()
                .withCommand("/bin/own")
                .endExec()
                .endPreStop()
                .endLifecycle()
                .endContainer()
                .endSpec()
                .build();

        assertThat(stopCommand(inject(own))).containsExactly("/bin/own");
        assertThat(stopCommand(inject(Requests.vmPod().build()))).containsExactly("/run/torpor/bin/launch", "--stop");
    }

    @Test
    void graceIsLongEnoughForASaveUnlessTheAuthorChoseOne() {
        assertThat(graceOf("2G", 30L)).isEqualTo(38L);
        assertThat(graceOf("2G", 5L)).isEqualTo(5L);
    }

    private static Long graceOf(String memory, Long seconds) {
        return inject(Requests.vmPod()
                        .editSpec()
                        .withTerminationGracePeriodSeconds(seconds)
                        .editFirstContainer()
                        .withArgs("-m", memory)
                        .endContainer()
                        .endSpec()
                        .build())
                .getSpec()
                .getTerminationGracePeriodSeconds();
    }

    private static List<String> stopCommand(Pod pod) {
        return pod.getSpec()
                .getContainers()
                .getFirst()
                .getLifecycle()
                .getPreStop()
                .getExec()
                .getCommand();
    }

    @Test
    void silentNodeKeepsItsVm() {
        Pod injected = inject(withTolerations(
                toleration("node.kubernetes.io/not-ready", 300L), toleration("node.kubernetes.io/unreachable", 300L)));

        assertThat(injected.getSpec().getTolerations())
                .containsExactly(
                        toleration("node.kubernetes.io/not-ready", null),
                        toleration("node.kubernetes.io/unreachable", null));
    }

    @Test
    void tolerationsOfTheAuthorStay() {
        Toleration own = toleration("node.kubernetes.io/unreachable", 60L);
        Toleration other = toleration("example.com/own", 300L);

        assertThat(inject(withTolerations(own, other)).getSpec().getTolerations())
                .containsExactly(own, other, toleration("node.kubernetes.io/not-ready", null));
    }

    @Test
    void imagesOfThisVmAreMountedToReadWhereThatIsAllowed() {
        PodRequest request = Requests.creation(Requests.vmPod().build());
        Pod with = WITH_IMAGES.inject(request, true);
        Pod without = WITH_IMAGES.inject(request, false);

        assertThat(with.getSpec().getVolumes())
                .filteredOn(volume -> volume.getName().equals("torpor-images"))
                .singleElement()
                .satisfies(volume -> {
                    assertThat(volume.getHostPath().getPath()).isEqualTo("/var/lib/torpor/vms/web");
                    assertThat(volume.getHostPath().getType()).isEqualTo("DirectoryOrCreate");
                });
        assertThat(with.getSpec().getContainers().getFirst().getVolumeMounts())
                .filteredOn(mount -> mount.getName().equals("torpor-images"))
                .singleElement()
                .satisfies(mount -> {
                    assertThat(mount.getMountPath()).isEqualTo("/run/torpor-images");
                    assertThat(mount.getReadOnly()).isTrue();
                });
        assertThat(without.getSpec().getVolumes()).extracting("name").containsExactly("torpor");
        assertThat(WITH_IMAGES.wantsImages(request)).isTrue();
        assertThat(PLAIN.wantsImages(request)).isFalse();
    }

    private static Pod inject(Pod pod) {
        assertThat(PodRules.check(Requests.creation(pod))).isEmpty();
        return PLAIN.inject(Requests.creation(pod), true);
    }

    private static Container launcher(Pod pod) {
        return pod.getSpec().getInitContainers().getFirst();
    }

    private static Pod withTolerations(Toleration... tolerations) {
        return Requests.vmPod()
                .editSpec()
                .withTolerations(tolerations)
                .endSpec()
                .build();
    }

    private static Toleration toleration(String key, @Nullable Long seconds) {
        return new TolerationBuilder()
                .withKey(key)
                .withOperator("Exists")
                .withEffect("NoExecute")
                .withTolerationSeconds(seconds)
                .build();
    }

    private static Map<?, ?> fields(Pod pod) {
        return Serialization.unmarshal(Serialization.asJson(pod), Map.class);
    }

    private static Pod example(String name) throws IOException {
        return Serialization.unmarshal(Files.readString(Path.of("..", "examples", name)), Pod.class);
    }
}
