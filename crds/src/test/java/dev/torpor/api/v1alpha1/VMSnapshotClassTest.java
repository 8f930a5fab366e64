package dev.torpor.api.v1alpha1;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class VMSnapshotClassTest {
    @Test
    void theNewestOfThoseThatSaySoIsTheDefault() {
        VMSnapshotClass old = of("old", "2026-01-01T00:00:00Z", "true");
        VMSnapshotClass fresh = of("fresh", "2026-01-03T00:00:00Z", "true");
        VMSnapshotClass sameTime = of("even", "2026-01-03T00:00:00Z", "true");
        VMSnapshotClass no = of("no", "2026-01-04T00:00:00Z", "false");
        VMSnapshotClass silent = of("silent", "2026-01-05T00:00:00Z", null);
        assertThat(VMSnapshotClass.ofDefault(List.of(no, silent))).isEmpty();
        assertThat(VMSnapshotClass.ofDefault(List.of(no, old, silent))).containsSame(old);
        assertThat(VMSnapshotClass.ofDefault(List.of(fresh, old, no))).containsSame(fresh);
        assertThat(VMSnapshotClass.ofDefault(List.of(sameTime, fresh)))
                .as("by name, so that all take the same one")
                .containsSame(fresh);
    }

    private static VMSnapshotClass of(String name, String created, @Nullable String isDefault) {
        VMSnapshotClass one = new VMSnapshotClass();
        one.getMetadata().setName(name);
        one.getMetadata().setCreationTimestamp(created);
        one.getMetadata().setAnnotations(isDefault == null ? null : Map.of(Torpor.DEFAULT_CLASS_ANNOTATION, isDefault));
        return one;
    }
}
