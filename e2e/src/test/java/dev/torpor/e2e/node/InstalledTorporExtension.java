package dev.torpor.e2e.node;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.e2e.cluster.RealCluster;
import dev.torpor.e2e.install.InstalledTorpor;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestWatcher;

/**
 * Gives each test a {@link Scene} on a real node with Torpor installed: one for the whole test JVM, started by the first
 * class that asks, taken away after the last one. After each class neither operator nor agents may have been refused
 * anything, or have been restarted without a test wanting it.
 */
final class InstalledTorporExtension
        implements BeforeAllCallback, AfterEachCallback, AfterAllCallback, ParameterResolver, TestWatcher {
    private static final Namespace STORE = Namespace.create(InstalledTorporExtension.class);

    private record Shared(RealCluster cluster, InstalledTorpor torpor) implements AutoCloseable {
        static Shared start() {
            RealCluster cluster = RealCluster.start("node-1");
            try {
                InstalledTorpor torpor = new InstalledTorpor(
                        cluster.kubectl(),
                        cluster.controlPlane().kubeconfig(),
                        cluster.node().kubeletRoot(),
                        cluster.node().directory().resolve("store"));
                torpor.install();
                return new Shared(cluster, torpor);
            } catch (RuntimeException e) {
                cluster.close();
                throw e;
            }
        }

        @Override
        public void close() {
            cluster.close();
        }
    }

    @Override
    public void beforeAll(ExtensionContext context) {
        shared(context);
    }

    private static Shared shared(ExtensionContext context) {
        // Closed by JUnit with the root context, after the last class.
        return context.getRoot().getStore(STORE).computeIfAbsent(Shared.class, key -> Shared.start(), Shared.class);
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == Scene.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        Shared shared = shared(context);
        return context.getStore(STORE).computeIfAbsent(Scene.class, key -> scene(shared), Scene.class);
    }

    private static Scene scene(Shared shared) {
        Scene scene = new Scene(
                shared.cluster(),
                shared.torpor(),
                shared.cluster().controlPlane().createNamespace("vms"));
        // A test before may have left pods that still start or terminate.
        shared.torpor().awaitAgents();
        shared.torpor().awaitOperators();
        scene.awaitWebhook();
        return scene;
    }

    @Override
    public void afterEach(ExtensionContext context) {
        Scene scene = context.getStore(STORE).get(Scene.class, Scene.class);
        if (scene != null) {
            scene.close();
        }
    }

    @Override
    public void afterAll(ExtensionContext context) {
        InstalledTorpor torpor = shared(context).torpor();
        // Those that are about to start have no logs yet.
        torpor.awaitAgents();
        torpor.awaitOperators();
        assertThat(torpor.refusals()).as("what Torpor's own roles refuse it").isEmpty();
        assertThat(torpor.restarts())
                .as("restarts of containers that no test asked for")
                .isEmpty();
    }

    @Override
    @SuppressWarnings("SystemOut") // The one place for a person who looks at a failed run.
    public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
        Shared shared = shared(context);
        System.out.println(context.getDisplayName() + " failed; Torpor said last:\n"
                + shared.torpor().describe() + "\nthe cluster said last:\n"
                + shared.cluster().logTails(8));
    }
}
