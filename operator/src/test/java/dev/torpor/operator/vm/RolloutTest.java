package dev.torpor.operator.vm;

import static org.assertj.core.api.Assertions.assertThat;

import io.fabric8.kubernetes.api.model.apps.StatefulSetBuilder;
import io.fabric8.kubernetes.api.model.apps.StatefulSetSpec;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RolloutTest {
    @ParameterizedTest
    @CsvSource({
        "RollingUpdate, , , web-0, true",
        "RollingUpdate, 0, , web-0, true",
        "RollingUpdate, 1, , web-0, false",
        "RollingUpdate, 1, , web-1, true",
        "RollingUpdate, 1, 5, web-5, false",
        "RollingUpdate, 1, 5, web-6, true",
        "RollingUpdate, 1, , web, false",
        "OnDelete, , , web-0, false",
        "OnDelete, 0, , web-0, false"
    })
    void reachesPodsFromThePartitionOn(
            String type, @Nullable Integer partition, @Nullable Integer start, String pod, boolean reached) {
        StatefulSetSpec spec = new StatefulSetBuilder()
                .withNewSpec()
                .withNewOrdinals()
                .withStart(start)
                .endOrdinals()
                .withNewUpdateStrategy()
                .withType(type)
                .withNewRollingUpdate()
                .withPartition(partition)
                .endRollingUpdate()
                .endUpdateStrategy()
                .endSpec()
                .build()
                .getSpec();
        assertThat(Rollout.reaches(spec, pod)).isEqualTo(reached);
    }

    @Test
    void reachesAllUnlessTheSpecSaysOtherwise() {
        assertThat(Rollout.reachesFirst(new StatefulSetSpec())).isTrue();
        assertThat(Rollout.reaches(new StatefulSetSpec(), "web-0")).isTrue();
    }
}
