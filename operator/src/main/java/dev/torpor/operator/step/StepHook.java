package dev.torpor.operator.step;

/** Hears of each step just before and just after it is taken; tests end the operator there. */
public interface StepHook {
    /** Does nothing. */
    StepHook NONE = new StepHook() {
        @Override
        public void before(Step step) {}

        @Override
        public void after(Step step) {}
    };

    /** Something that a step does. */
    interface Act<E extends Exception> {
        void run() throws E;
    }

    /** Called on the working thread before the step. */
    void before(Step step);

    /** Called on the working thread after the step succeeded. */
    void after(Step step);

    /** Takes a step. */
    default <E extends Exception> void take(Step step, Act<E> act) throws E {
        before(step);
        act.run();
        after(step);
    }
}
