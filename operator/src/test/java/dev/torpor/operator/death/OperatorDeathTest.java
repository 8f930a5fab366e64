package dev.torpor.operator.death;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.OnNodeRemoval;
import dev.torpor.api.v1alpha1.OnSaveFailure;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import dev.torpor.api.v1alpha1.VMSnapshotClass;
import dev.torpor.api.v1alpha1.VMSnapshotClassSpec;
import dev.torpor.api.v1alpha1.VMSnapshotSpec;
import dev.torpor.api.v1alpha1.VolumeSnapshotsSpec;
import dev.torpor.operator.step.Step;
import io.fabric8.kubernetes.api.model.NamespaceBuilder;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.api.model.policy.v1.PodDisruptionBudgetBuilder;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.net.URI;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.logging.Level;
import java.util.logging.Logger;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The operator ends just before and just after each of its steps, another follows that knows nothing but what the API says, and all
 * ends as without that: no VM boots cold, none is resumed twice, nothing is left over.
 */
@EnableKubernetesMockClient(crud = true, https = false)
@SuppressWarnings("NullAway.Init")
class OperatorDeathTest {
    /** The steps up to a death, of stories before. */
    private static final Set<String> TRIED = new HashSet<>();

    private static final Map<Story, Undisturbed> UNDISTURBED = new EnumMap<>(Story.class);

    private static final String RUNS = "image waits: false, resumes: 0, boots: 0";
    private static final String SAVED = "image waits: true, resumes: 0, boots: 0";
    private static final String RESUMED = "image waits: false, resumes: 1, boots: 0";
    private static final String BOOTED = "image waits: false, resumes: 0, boots: 1";

    private static KubernetesMockServer server;
    private static Connections connections;

    @BeforeAll
    static void connect() {
        // A line for each request costs more than the request.
        Logger.getLogger("io.fabric8.mockwebserver").setLevel(Level.WARNING);
        connections = new Connections(server);
    }

    @AfterAll
    static void disconnect() {
        connections.close();
    }

    /** What is done. */
    @SuppressWarnings("ImmutableEnumChecker") // Deeds have no state.
    enum Story {
        MANAGED_SAVE(true, SAVED, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual))),
        BARE_POD(false, SAVED, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual))),
        START(true, RESUMED, List.of(save(SaveMode.ManagedSave, null))),
        START_OF_A_BARE_POD(false, RESUMED, List.of(save(SaveMode.ManagedSave, null))),
        START_THAT_FAILS_ONCE(
                true, RESUMED, List.of(failingStart("PodGone"), save(SaveMode.ManagedSave, null), aWhilePasses())),
        DRAIN(true, RESUMED, List.of(cordon(true), evict(), cordon(false))),
        MAINTENANCE_THAT_IS_OVER_SOON(
                true, RUNS, List.of(savesTake(true), maintenance(true), maintenance(false), savesTake(false))),
        TERMINATION(true, RESUMED, List.of(terminate())),
        RETIREMENT_AND_RESTORE(false, RESUMED, List.of(save(SaveMode.Save, null), restore("back"))),
        RESTORE_THAT_FAILS(
                false, SAVED, List.of(save(SaveMode.Save, null), failingStart("MemorySizeMismatch"), restore("back"))),
        DISCARD(true, BOOTED, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual), discard())),
        DISCARD_OF_A_BARE_PODS_MEMORY(
                false, BOOTED, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual), discard())),
        NAMESPACE_THAT_IS_DELETED(
                false, RUNS, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual), deleteNamespace())),
        BUDGET_THAT_IS_CHANGED_AND_DELETED(true, RUNS, List.of(changeBudget(), deleteBudget())),
        CHECKPOINT_OF_DISKS_WHOSE_PAUSE_IS_LOST_ONCE(
                false, RUNS, List.of(claims(), pausesAreLost(1), checkpoint(new VolumeSnapshotsSpec("csi", null)))),
        CHECKPOINT_OF_DISKS_THAT_IS_GIVEN_UP(
                false,
                RUNS,
                List.of(claims(), cutsFail("VolumeSnapshotFailed"), checkpoint(new VolumeSnapshotsSpec("csi", null)))),
        CHECKPOINT_THAT_IS_REFUSED(true, RUNS, List.of(checkpoint(new VolumeSnapshotsSpec("csi", null)), discard())),
        CHECKPOINT_WHOSE_POD_IS_REPLACED_MEANWHILE(true, BOOTED, List.of(podIsReplaced(), checkpoint(null))),
        DRAIN_THAT_DELETES_WHAT_IS_NOT_SAVED(
                true,
                BOOTED,
                List.of(
                        classSays(OnSaveFailure.Delete, null),
                        savesFail("MigrationBlocked"),
                        memoryMayGo(),
                        cordon(true),
                        evict(),
                        cordon(false))),
        DRAIN_THAT_SHUTS_DOWN_WHAT_IS_NOT_SAVED(
                true,
                BOOTED,
                List.of(
                        classSays(OnSaveFailure.Shutdown, null),
                        savesFail("MigrationBlocked"),
                        shutdownsTake(true),
                        cordon(true),
                        maintenance(true),
                        maintenance(false).and(cordon(false)),
                        shutdownsTake(false).and(cordon(true)).and(maintenance(true)),
                        maintenance(false).and(cordon(false)))),
        REMOVAL_OF_A_NODE_THAT_SHUTS_DOWN(
                true,
                BOOTED,
                List.of(
                        classSays(null, OnNodeRemoval.Shutdown),
                        shutdownsTake(true),
                        removal(true),
                        askForEviction(),
                        removal(false),
                        shutdownsTake(false).and(removal(true)),
                        evict(),
                        removal(false)));

        private final boolean statefulSet;
        private final String ends;
        private final List<World.Deed> deeds;

        /**
         * @param statefulSet whether the VM's pod is of one
         * @param ends how the state begins that is left
         */
        Story(boolean statefulSet, String ends, List<World.Deed> deeds) {
            this.statefulSet = statefulSet;
            this.ends = ends;
            this.deeds = deeds;
        }
    }

    /** A story without a death: what is left at its end, and the operator's steps. */
    private record Undisturbed(String state, List<String> taken, List<String> written) {}

    private static Undisturbed undisturbed(Story story) throws Exception {
        Undisturbed known = UNDISTURBED.get(story);
        if (known == null) {
            Steps steps = connections.steps();
            String state = run(story, 1);
            assertThat(steps.outside()).as("writes outside of steps").isEmpty();
            known = new Undisturbed(state, steps.taken(), steps.written());
            assertThat(known.taken()).isNotEmpty();
            assertThat(state).startsWith(story.ends + "\n");
            UNDISTURBED.put(story, known);
        }
        return known;
    }

    /** Stories die at all of their steps, or had the same step before. */
    @Test
    void everyStepIsInAStory() throws Exception {
        Set<String> inStories = new TreeSet<>();
        for (Story story : Story.values()) {
            undisturbed(story).taken().forEach(step -> inStories.add(step.replaceFirst("\\d+ ", "")));
        }
        assertThat(inStories)
                .containsExactlyInAnyOrderElementsOf(
                        Stream.of(Step.values()).map(Step::name).toList());
    }

    @Test
    void checkpointsEndWithTheirDisksAndTheRecordOfTheirPod() throws Exception {
        assertThat(undisturbed(Story.CHECKPOINT_OF_DISKS_WHOSE_PAUSE_IS_LOST_ONCE)
                        .state())
                .contains("\"phase\":\"Ready\"", "VolumeSnapshot/data-CUT", "VolumeSnapshot/logs-CUT");
        assertThat(undisturbed(Story.CHECKPOINT_OF_DISKS_THAT_IS_GIVEN_UP).state())
                .contains("\"phase\":\"Failed\"")
                .doesNotContain("VolumeSnapshot/");
        assertThat(undisturbed(Story.CHECKPOINT_WHOSE_POD_IS_REPLACED_MEANWHILE).state())
                .contains("\"phase\":\"Ready\"")
                .containsPattern("ControllerRevision/.*\"example.com/template\":\"second\"");
    }

    @ParameterizedTest
    @EnumSource
    void endsAsWithoutADeathOfTheOperatorAtAnyStep(Story story) throws Exception {
        Steps steps = connections.steps();
        String without = undisturbed(story).state();
        List<String> taken = undisturbed(story).taken();
        List<String> written = undisturbed(story).written();
        for (int i = 0; i < taken.size(); i++) {
            // What is the same up to there as in a story before was tried there.
            if (TRIED.add(story.statefulSet + " " + written.subList(0, i + 1))) {
                // Just after one step is just before the next: nothing is written in between.
                for (String when : i == 0 ? List.of("before ", "after ") : List.of("after ")) {
                    steps.dieAt(when + taken.get(i));
                    assertThat(run(story, 2))
                            .as("after death " + when + taken.get(i))
                            .isEqualTo(without);
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void endsAsWithoutConflictsIfEachWriteConflictsAtFirst(Story story) throws Exception {
        Steps steps = connections.steps();
        String without = undisturbed(story).state();
        KubernetesMockServer refusing = new KubernetesMockServer(false);
        refusing.init();
        try {
            Status conflict = new StatusBuilder()
                    .withStatus("Failure")
                    .withReason("Conflict")
                    .withMessage("the object has been modified")
                    .withCode(409)
                    .build();
            refusing.expect().post().withPath("/").andReturn(409, conflict).always();
            refusing.expect().put().withPath("/").andReturn(409, conflict).always();
            refusing.expect().patch().withPath("/").andReturn(409, conflict).always();
            refusing.expect().delete().withPath("/").andReturn(409, conflict).always();
            steps.conflictFirst(URI.create(refusing.url("/")));
            assertThat(run(story, 1)).isEqualTo(without);
        } finally {
            steps.conflictFirst(null);
            refusing.destroy();
        }
        assertThat(steps.conflicts()).isGreaterThan(1);
    }

    private static String run(Story story, int lives) throws Exception {
        connections.steps().begin();
        World world = new World(connections, story.statefulSet);
        world.run(story.deeds);
        assertThat(world.lives()).as("operators").isEqualTo(lives);
        return world.state();
    }

    private static World.Deed save(SaveMode mode, @Nullable ResumePolicy resume) {
        return once(world -> world.cluster().snapshot("web-1", mode, resume));
    }

    private static World.Deed once(Consumer<World> what) {
        return world -> {
            what.accept(world);
            return true;
        };
    }

    private static World.Deed restore(String name) {
        return once(world -> world.cluster().restore(name, "web-1"));
    }

    private static World.Deed failingStart(String reason) {
        return once(world -> world.startsFail(reason));
    }

    private static World.Deed savesTake(boolean on) {
        return once(world -> world.savesTake(on));
    }

    private static World.Deed aWhilePasses() {
        return once(world -> world.cluster().later(15));
    }

    private static World.Deed savesFail(String reason) {
        return once(world -> world.savesFail(reason));
    }

    private static World.Deed cutsFail(String reason) {
        return once(world -> world.cutsFail(reason));
    }

    private static World.Deed pausesAreLost(int times) {
        return once(world -> world.pausesAreLost(times));
    }

    private static World.Deed podIsReplaced() {
        return once(world -> world.podIsReplaced());
    }

    private static World.Deed memoryMayGo() {
        return once(world -> world.memoryMayGo());
    }

    private static World.Deed shutdownsTake(boolean on) {
        return once(world -> world.shutdownsTake(on));
    }

    private static World.Deed claims() {
        return once(world -> world.haveClaims("data", "logs"));
    }

    private static World.Deed checkpoint(@Nullable VolumeSnapshotsSpec disks) {
        return world -> {
            VMSnapshot snapshot = new VMSnapshot();
            snapshot.setMetadata(new ObjectMetaBuilder()
                    .withNamespace("vms")
                    .withName("web-1")
                    .build());
            snapshot.setSpec(new VMSnapshotSpec(
                    "web", SaveMode.Checkpoint, null, null, null, 300, null, null, null, null, disks));
            world.client().resource(snapshot).create();
            return true;
        };
    }

    private static World.Deed classSays(@Nullable OnSaveFailure onSaveFailure, @Nullable OnNodeRemoval onNodeRemoval) {
        return world -> {
            VMSnapshotClass ofVms = new VMSnapshotClass();
            ofVms.setMetadata(new ObjectMetaBuilder()
                    .withName("standard")
                    .addToAnnotations(Torpor.DEFAULT_CLASS_ANNOTATION, "true")
                    .build());
            ofVms.setSpec(new VMSnapshotClassSpec(null, null, null, null, onSaveFailure, onNodeRemoval, null));
            world.client().resource(ofVms).create();
            return true;
        };
    }

    private static World.Deed changeBudget() {
        return world -> {
            world.client()
                    .policy()
                    .v1()
                    .podDisruptionBudget()
                    .inNamespace("vms")
                    .withName("torpor-vms")
                    .edit(budget -> new PodDisruptionBudgetBuilder(budget)
                            .editSpec()
                            .withNewMinAvailable(0)
                            .endSpec()
                            .build());
            return true;
        };
    }

    private static World.Deed deleteBudget() {
        return world -> {
            world.client()
                    .policy()
                    .v1()
                    .podDisruptionBudget()
                    .inNamespace("vms")
                    .withName("torpor-vms")
                    .delete();
            return true;
        };
    }

    private static World.Deed removal(boolean on) {
        return world -> {
            world.cluster().cordon(on);
            world.cluster().taint(on ? new String[] {"ToBeDeletedByClusterAutoscaler=:NoSchedule"} : new String[0]);
            return true;
        };
    }

    private static World.Deed askForEviction() {
        return world -> {
            var _ = world.operator().evict("web-0");
            return !world.snapshots().isEmpty();
        };
    }

    private static World.Deed cordon(boolean on) {
        return once(world -> world.cluster().cordon(on));
    }

    private static World.Deed maintenance(boolean on) {
        return once(world -> world.cluster().maintain(Boolean.toString(on)));
    }

    private static World.Deed evict() {
        return world ->
                Objects.equals(world.operator().evict("web-0").getStatus().getCode(), 404);
    }

    private static World.Deed discard() {
        return world -> {
            world.client()
                    .resources(VMSnapshot.class)
                    .inNamespace("vms")
                    .withName("web-1")
                    .edit(snapshot -> {
                        snapshot.getMetadata().setAnnotations(Map.of(Torpor.DISCARD_ANNOTATION, "true"));
                        return snapshot;
                    });
            world.client()
                    .resources(VMSnapshot.class)
                    .inNamespace("vms")
                    .withName("web-1")
                    .delete();
            world.memoryIsInImage(false);
            return true;
        };
    }

    private static World.Deed deleteNamespace() {
        return world -> {
            world.client().namespaces().withName("vms").edit(namespace -> new NamespaceBuilder(namespace)
                    .editMetadata()
                    .withFinalizers("kubernetes")
                    .endMetadata()
                    .build());
            world.client().namespaces().withName("vms").delete();
            world.client().pods().inNamespace("vms").delete();
            world.client().resources(VMSnapshot.class).inNamespace("vms").delete();
            return true;
        };
    }

    private static World.Deed terminate() {
        return world -> {
            String uid = world.pods().getFirst().getMetadata().getUid();
            NodeStoreStatus status = new NodeStoreStatus(
                    "store",
                    "node-uid",
                    1L,
                    1,
                    "1",
                    List.of(new TerminationSave("vms", "web", uid, null, true, null)),
                    null);
            NodeStore store = new NodeStore();
            store.setMetadata(new ObjectMetaBuilder().withName("n1").build());
            store.setStatus(status);
            world.client().resource(store).create();
            world.client().pods().inNamespace("vms").withName("web-0").delete();
            world.memoryIsInImage(true);
            return true;
        };
    }
}
