package dev.torpor.agent.work;

/** Steps between which an agent may die: each leaves the VM and its image such that the next agent can go on. */
public enum Step {
    /** The intent of a save is recorded durably. */
    SAVE_RECORD,
    /** The guest is paused. */
    SAVE_PAUSE,
    /** QEMU writes. */
    SAVE_WRITE,
    /** The file is checked, flushed and recorded Complete. */
    SAVE_COMMIT,
    /** The saved pod is retired in the journal. */
    SAVE_RETIRE,
    /** The guest of a checkpoint is continued. */
    SAVE_CONTINUE,
    /** Status says Saved. */
    SAVE_PUBLISH,
    /** The image of a restore is entered as waiting in the journal. */
    RESTORE_WAIT,
    /** The launcher is told how to start. */
    START_ANSWER,
    /** QEMU reads the image. */
    RESTORE_LOAD,
    /** The image is recorded as handed over. */
    RESTORE_HAND_OVER,
    /** The journal is told of it. */
    RESTORE_JOURNAL,
    /** The guest runs. */
    RESTORE_CONTINUE,
    /** Status says Resumed. */
    RESTORE_PUBLISH,
    /** The image is consumed. */
    RESTORE_CONSUME
}
