package dev.torpor.operator.scaledown;

import static org.assertj.core.api.Assertions.assertThat;

import dev.torpor.api.v1alpha1.Torpor;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** Which annotations of a node are set and taken away. */
class ScaleDownHoldTest {
    private static final String AUTOSCALER = "cluster-autoscaler.kubernetes.io/scale-down-disabled";
    private static final String KARPENTER = "karpenter.sh/do-not-disrupt";

    @Test
    void aNodeWithoutImagesIsLeftAlone() {
        assertThat(ScaleDownHold.changes(Map.of("any", "thing"), false)).isEmpty();
    }

    @Test
    void bothAreSetAndTakenAwayAgain() {
        Map<String, String> before = Map.of("any", "thing");
        Map<String, String> held = after(before, true);
        assertThat(held)
                .containsEntry(AUTOSCALER, "true")
                .containsEntry(KARPENTER, "true")
                .containsEntry(Torpor.HELD_BY_ANNOTATION, AUTOSCALER + "," + KARPENTER);
        assertThat(ScaleDownHold.changes(held, true)).isEmpty();
        assertThat(after(held, false)).isEqualTo(before);
    }

    @Test
    void whatSomebodyElseSetStays() {
        Map<String, String> before = Map.of(AUTOSCALER, "true", KARPENTER, "false");
        assertThat(ScaleDownHold.changes(before, true)).isEmpty();
        assertThat(ScaleDownHold.changes(before, false)).isEmpty();
    }

    @Test
    void onlyOursIsTakenAway() {
        Map<String, String> before = Map.of(AUTOSCALER, "true");
        Map<String, String> held = after(before, true);
        assertThat(held).containsEntry(Torpor.HELD_BY_ANNOTATION, KARPENTER);
        assertThat(after(held, false)).isEqualTo(before);
    }

    @Test
    void oursThatSomebodyChangedIsTheirsFromThenOn() {
        Map<String, String> changed = new HashMap<>(after(Map.of(), true));
        changed.put(AUTOSCALER, "false");
        assertThat(after(changed, true))
                .containsEntry(AUTOSCALER, "false")
                .containsEntry(Torpor.HELD_BY_ANNOTATION, KARPENTER);
        assertThat(after(changed, false)).isEqualTo(Map.of(AUTOSCALER, "false"));
    }

    @Test
    void oursThatWasRemovedIsSetAgainWhileItIsNeeded() {
        Map<String, String> removed = new HashMap<>(after(Map.of(), true));
        removed.remove(KARPENTER);
        assertThat(after(removed, true)).isEqualTo(after(Map.of(), true));
        assertThat(after(removed, false)).isEmpty();
    }

    @Test
    void aMarkThatWeDidNotWriteTakesNothingElseAway() {
        Map<String, String> forged =
                Map.of(Torpor.HELD_BY_ANNOTATION, "important.example/key,", "important.example/key", "true");
        assertThat(after(forged, false)).isEqualTo(Map.of("important.example/key", "true"));
    }

    private static Map<String, String> after(Map<String, String> before, boolean wanted) {
        Map<String, String> after = new HashMap<>(before);
        ScaleDownHold.changes(before, wanted).forEach((key, value) -> put(after, key, value));
        return after;
    }

    private static void put(Map<String, String> map, String key, @Nullable String value) {
        if (value == null) {
            map.remove(key);
        } else {
            map.put(key, value);
        }
    }
}
