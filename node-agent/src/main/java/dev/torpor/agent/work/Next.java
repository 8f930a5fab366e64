package dev.torpor.agent.work;

import java.time.Duration;

/** When something is looked at next. */
sealed interface Next {
    /** When it changes. */
    record OnChange() implements Next {}

    /** After a while, unless it changes before. */
    record After(Duration delay) implements Next {}

    /** After a while that grows with each such answer in a row. */
    record BackOff() implements Next {}

    static Next onChange() {
        return new OnChange();
    }

    static Next now() {
        return new After(Duration.ZERO);
    }

    static Next after(Duration delay) {
        return new After(delay);
    }

    static Next backOff() {
        return new BackOff();
    }
}
