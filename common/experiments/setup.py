"""What every training script does before it builds its networks."""

from common import backend
from common.data.batches import EndlessBatches
from common.training.run_dir import open_run


def set_precision_and_seed(args):
    """Set Keras's precision policy (`--mixed-precision`) and every random seed (`--seed`) of the process."""
    import keras

    if args.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{args.mixed_precision}")
    keras.utils.set_random_seed(args.seed)


def begin_run(args, article, images, fixed_flags=()):
    """Open the run directory, and set `args.steps` from `--epochs` where that was given.

    Args:
        args: resolved flags of `common.cli.parser`.
        article: str, folder of the run.
        images: `Images`, or an array of images or points, to be trained on.
        fixed_flags: names of flags that must not change on resume, e.g. "steps" when the learning rate falls with them.

    Returns:
        (run directory, context in which to build and compile the networks).

    Raises:
        UserError: if there are fewer images than a batch holds; no run directory is made then. Also what `open_run`
            raises.
    """
    batches = EndlessBatches(images, args.batch_size)
    args.steps = args.steps or args.epochs * batches.steps_per_epoch
    devices = backend.distribution(args.distribute)
    return open_run(args, article, len(batches.images), fixed_flags), devices
