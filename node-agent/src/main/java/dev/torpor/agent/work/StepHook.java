package dev.torpor.agent.work;

/** Hears of each step just before and just after it is taken; tests end the process there. */
public interface StepHook {
    /** Does nothing. */
    StepHook NONE = new StepHook() {
        @Override
        public void before(Step step) {}

        @Override
        public void after(Step step) {}
    };

    /** Called on the working thread before the step. */
    void before(Step step);

    /** Called on the working thread after the step succeeded. */
    void after(Step step);
}
