package dev.torpor.operator.death;

/** The end of an operator in the middle of a step: nothing of it runs on, as nobody catches this. */
final class Death extends Error {
    private static final long serialVersionUID = 1;

    Death(String where) {
        super(where);
    }
}
