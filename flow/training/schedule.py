"""The flag --schedule of flows: the learning rate stays, or falls to 0 along half a cosine."""


def learning_rate(args):
    """Return the learning rate for the optimiser: `args.learning_rate`, or a schedule over `args.steps`."""
    import keras

    if args.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(args.learning_rate, args.steps)
    return args.learning_rate


def fixed_flags(args):
    """Return the names of the flags that must not change on resume: the steps, if the learning rate falls with them.

    Args:
        args: flags; those of NICE have no `schedule`.
    """
    return ("steps",) if vars(args).get("schedule") == "cosine" else ()
