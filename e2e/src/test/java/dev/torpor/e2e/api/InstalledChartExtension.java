package dev.torpor.e2e.api;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestWatcher;

/**
 * Gives tests the {@link InstalledChart}: one for the whole test JVM, with a control plane of its own, since its policies
 * hold for the whole cluster.
 */
final class InstalledChartExtension implements BeforeAllCallback, ParameterResolver, TestWatcher {
    private static final Namespace STORE = Namespace.create(InstalledChartExtension.class);
    private static final int LOG_LINES = 15;

    @Override
    public void beforeAll(ExtensionContext context) {
        var _ = chart(context);
    }

    private static InstalledChart chart(ExtensionContext context) {
        return context.getRoot()
                .getStore(STORE)
                .computeIfAbsent(InstalledChart.class, key -> InstalledChart.start(), InstalledChart.class);
    }

    @Override
    public boolean supportsParameter(ParameterContext parameter, ExtensionContext context) {
        return parameter.getParameter().getType() == InstalledChart.class;
    }

    @Override
    public Object resolveParameter(ParameterContext parameter, ExtensionContext context) {
        return chart(context);
    }

    @Override
    @SuppressWarnings("SystemOut") // The one place for a person who looks at a failed run.
    public void testFailed(ExtensionContext context, @Nullable Throwable cause) {
        System.out.println(context.getDisplayName() + " failed; the control plane said last:\n"
                + chart(context).cluster().logTails(LOG_LINES));
    }
}
