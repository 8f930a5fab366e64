package dev.torpor.operator.death;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.NodeStore;
import dev.torpor.api.v1alpha1.NodeStoreStatus;
import dev.torpor.api.v1alpha1.ResumePolicy;
import dev.torpor.api.v1alpha1.SaveMode;
import dev.torpor.api.v1alpha1.TerminationSave;
import dev.torpor.api.v1alpha1.Torpor;
import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.fabric8.kubernetes.api.model.Status;
import io.fabric8.kubernetes.api.model.StatusBuilder;
import io.fabric8.kubernetes.client.server.mock.EnableKubernetesMockClient;
import io.fabric8.kubernetes.client.server.mock.KubernetesMockServer;
import java.net.URI;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The operator ends just before and just after each of its steps, another follows that knows nothing but what the API says, and all
 * ends as without that: no VM boots cold, none is resumed twice, nothing is left over.
 */
@EnableKubernetesMockClient(crud = true)
@SuppressWarnings("NullAway.Init")
class OperatorDeathTest {
    /** The steps up to a death, of stories before. */
    private static final Set<String> TRIED = new HashSet<>();

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
        MANAGED_SAVE(true, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual))),
        BARE_POD(false, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual))),
        START(true, List.of(save(SaveMode.ManagedSave, null))),
        START_OF_A_BARE_POD(false, List.of(save(SaveMode.ManagedSave, null))),
        START_THAT_FAILS_ONCE(true, List.of(failingStart("PodGone"), save(SaveMode.ManagedSave, null), aWhilePasses())),
        DRAIN(true, List.of(cordon(true), evict(), cordon(false))),
        MAINTENANCE_THAT_IS_OVER_SOON(
                true, List.of(savesTake(true), maintenance(true), maintenance(false), savesTake(false))),
        TERMINATION(true, List.of(terminate())),
        RETIREMENT_AND_RESTORE(false, List.of(save(SaveMode.Save, null), restore("back"))),
        RESTORE_THAT_FAILS(
                false, List.of(save(SaveMode.Save, null), failingStart("MemorySizeMismatch"), restore("back"))),
        DISCARD(true, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual), discard())),
        DISCARD_OF_A_BARE_PODS_MEMORY(false, List.of(save(SaveMode.ManagedSave, ResumePolicy.Manual), discard()));

        private final boolean statefulSet;
        private final List<World.Deed> deeds;

        Story(boolean statefulSet, List<World.Deed> deeds) {
            this.statefulSet = statefulSet;
            this.deeds = deeds;
        }
    }

    @ParameterizedTest
    @EnumSource
    void endsAsWithoutADeathOfTheOperatorAtAnyStep(Story story) throws Exception {
        Steps steps = connections.steps();
        String without = run(story, 1);
        assertThat(steps.outside()).as("writes outside of steps").isEmpty();
        List<String> taken = steps.taken();
        assertThat(taken).isNotEmpty();
        for (int i = 0; i < taken.size(); i++) {
            // What is the same up to there as in a story before was tried there.
            if (TRIED.add(story.statefulSet + " " + taken.subList(0, i + 1))) {
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
        String without = run(story, 1);
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
        assertThat(steps.conflicts()).isGreaterThan(5);
    }

    private static String run(Story story, int lives) throws Exception {
        connections.steps().begin();
        World world = new World(connections, story.statefulSet);
        world.run(story.deeds);
        assertThat(world.lives()).as("operators").isEqualTo(lives);
        return world.state();
    }

    private static World.Deed save(SaveMode mode, @Nullable ResumePolicy resume) {
        return world -> {
            world.cluster().snapshot("web-1", mode, resume);
            return true;
        };
    }

    private static World.Deed restore(String name) {
        return world -> {
            world.cluster().restore(name, "web-1");
            return true;
        };
    }

    private static World.Deed failingStart(String reason) {
        return world -> {
            world.startsFail(reason);
            return true;
        };
    }

    private static World.Deed savesTake(boolean on) {
        return world -> {
            world.savesTake(on);
            return true;
        };
    }

    private static World.Deed aWhilePasses() {
        return world -> {
            world.cluster().later(15);
            return true;
        };
    }

    private static World.Deed cordon(boolean on) {
        return world -> {
            world.cluster().cordon(on);
            return true;
        };
    }

    private static World.Deed maintenance(boolean on) {
        return world -> {
            world.cluster().maintain(Boolean.toString(on));
            return true;
        };
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
