package dev.torpor.e2e.cluster;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestWatcher;

/**
 * Gives tests a control plane with controllers and Torpor's CRDs: one for the whole test JVM, started by the first
 * class that asks. A test or constructor parameter of type {@link ControlPlane} is that one; a parameter
 * {@code @TestNamespace String} is the name of a new namespace of this test alone. When a test fails, the ends of the
 * logs are printed.
 */
public final class ControlPlaneExtension implements BeforeAllCallback, ParameterResolver, TestWatcher {
    private static final Namespace STORE = Namespace.create(ControlPlaneExtension.class);
    private static final int LOG_LINES = 15;

    @Override
    public void beforeAll(ExtensionContext context) {
        controlPlane(context);
    }

    /** Returns the shared control plane, for extensions that build on it. */
    public static ControlPlane controlPlane(ExtensionContext context) {
        // Closed by JUnit with the root context, after the last class.
        return context.getRoot()
                .getStore(STORE)
                .computeIfAbsent(ControlPlane.class, key -> startWithCrds(), ControlPlane.class);
    }

    private static ControlPlane startWithCrds() {
        ControlPlane started = ControlPlane.start(ControlPlane.Options.WHOLE);
        started.applyCrds();
        return started;
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == ControlPlane.class || parameter.isAnnotated(TestNamespace.class);
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        ControlPlane shared = controlPlane(context);
        if (!parameter.isAnnotated(TestNamespace.class)) {
            return shared;
        }
        // Created once for each test, even if the parameter occurs in its set-up method too.
        return context.getStore(STORE)
                .computeIfAbsent(TestNamespace.class, key -> shared.createNamespace("test"), String.class);
    }

    @Override
    @SuppressWarnings("SystemOut") // The one place for a person who looks at a failed run.
    public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
        System.out.println(context.getDisplayName() + " failed; the control plane said last:\n"
                + controlPlane(context).logTails(LOG_LINES));
    }
}
