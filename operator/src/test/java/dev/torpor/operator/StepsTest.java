package dev.torpor.operator;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.VMSnapshot;
import io.fabric8.kubernetes.api.model.ObjectMetaBuilder;
import io.javaoperatorsdk.operator.api.monitoring.Metrics;
import io.javaoperatorsdk.operator.api.reconciler.Constants;
import io.javaoperatorsdk.operator.api.reconciler.RetryInfo;
import io.javaoperatorsdk.operator.processing.GroupVersionKind;
import io.javaoperatorsdk.operator.processing.event.ResourceID;
import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.slf4j.MDC;

class StepsTest {
    private static final Map<String, Object> METADATA =
            Map.of(Constants.RESOURCE_GVK_KEY, new GroupVersionKind("torpor.dev", "v1alpha1", "VMSnapshot"));

    private Instant now = Instant.EPOCH;
    private final Steps steps = new Steps(Metrics.NOOP, () -> now);

    @Test
    void linesOfAStepCarryTheObjectAndTheAttempt() throws Exception {
        steps.reconcileCustomResource(snapshot(), retry(2), METADATA);
        Map<String, String> seen = new HashMap<>();
        MDC.put("resource.uid", "u1");
        try {
            var _ = run(() -> {
                seen.putAll(MDC.getCopyOfContextMap());
                return "done";
            });
        } finally {
            MDC.remove("resource.uid");
        }
        assertThat(seen)
                .containsEntry("kind", "VMSnapshot")
                .containsEntry("namespace", "vms")
                .containsEntry("name", "s")
                .containsEntry("uid", "u1")
                .containsEntry("attempt", "3");
        assertThat(MDC.get("kind")).isNull();
        steps.finishedReconciliation(snapshot(), METADATA);
        assertThat(run(() -> MDC.get("attempt"))).isEqualTo("1");
    }

    @Test
    void aStepThatDoesNotEndIsSaid() throws Exception {
        var _ = run(() -> {
            now = now.plus(Duration.ofMinutes(4));
            assertThat(steps.stuck()).isEmpty();
            now = now.plus(Duration.ofMinutes(2));
            assertThat(steps.stuck()).contains("the step of VMSnapshot vms/s has not ended since 1970-01-01T00:00:00Z");
            return "done";
        });
        assertThat(steps.stuck()).isEmpty();
    }

    private String run(Callable<String> step) throws Exception {
        return steps.timeControllerExecution(new Metrics.ControllerExecution<>() {
            @Override
            public String name() {
                return "reconcile";
            }

            @Override
            public String controllerName() {
                return "vmsnapshot";
            }

            @Override
            public String successTypeName(String result) {
                return result;
            }

            @Override
            public ResourceID resourceID() {
                return new ResourceID("s", "vms");
            }

            @Override
            public Map<String, Object> metadata() {
                return METADATA;
            }

            @Override
            public String execute() throws Exception {
                return step.call();
            }
        });
    }

    private static RetryInfo retry(int count) {
        return new RetryInfo() {
            @Override
            public int getAttemptCount() {
                return count;
            }

            @Override
            public boolean isLastAttempt() {
                return false;
            }
        };
    }

    private static VMSnapshot snapshot() {
        VMSnapshot object = new VMSnapshot();
        object.setMetadata(
                new ObjectMetaBuilder().withNamespace("vms").withName("s").build());
        return object;
    }
}
