"""First steps of every training script: precision, seeds, devices and the run directory."""

import re
import shutil
from pathlib import Path

from common import backend
from common.data.batches import EndlessBatches
from common.data.cache import array_checksum
from common.data.catalog import NAMES
from common.errors import UserError
from common.training.run_dir import open_run, run_dir_of

CPU_INFO = Path("/proc/cpuinfo")  # on Linux


def has_fast_bfloat16():
    """Return whether the CPU multiplies bfloat16 matrices itself (AVX512-BF16 or AMX). `False` if it does not tell."""
    return CPU_INFO.exists() and bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", CPU_INFO.read_text()))


def prepare(args, article):
    """Say what will be trained, then set Keras's precision policy and the random seeds of the process.

    Args:
        args: flags of `common.cli.parser`, with the preset applied.
        article: str, folder of the article.
    """
    import keras

    data = f" on {args.dataset}" if hasattr(args, "dataset") else ""
    length = f"{args.epochs} epochs" if args.epochs and not args.steps else f"{args.steps} steps"
    print(
        f"training {article}{data}, preset {args.preset}, {length} of {args.batch_size}; "
        f"it writes to {run_dir_of(args, article)}; the time left is shown once it is measured",
        flush=True,
    )

    if (
        not args.mixed_precision
        and getattr(args, "dataset", "").startswith((*NAMES, "folder:"))
        and args.size >= 64
        and not backend.accelerators()
        and has_fast_bfloat16()
    ):
        print("note: this CPU is faster in half precision at 64 px and more: --mixed-precision bfloat16", flush=True)
    if args.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{args.mixed_precision}")
    keras.utils.set_random_seed(args.seed)


def check_width(args, last_side=8):
    """Raise `UserError` if the channels of --width cannot be halved as often as --size asks.

    Args:
        args: flags with `width` and `size`, the preset applied.
        last_side: int; the channels are halved once for each doubling from this side to --size. The default, 8, is
            that of DCGAN's networks, whose layer at full size has no width of its own.
    """
    multiple = args.size // last_side
    if args.width % multiple:
        raise UserError(
            f"--width must be a multiple of {multiple} for images of {args.size} pixels. Received: {args.width}"
        )


def begin_run(args, article, images, fixed_flags=()):
    """Open the run directory and choose the devices. Sets `args.steps` if `--epochs` was given.

    Args:
        args: flags of `common.cli.parser`, with the preset applied.
        article: str, folder of the article.
        images: training data: `Images`, or an array of images or points.
        fixed_flags: names of flags that must not change on resume, e.g. "steps" when the learning-rate schedule
            depends on it.

    Returns:
        (run directory, `common.backend.Devices`: the context in which to build and compile the networks).

    Raises:
        UserError: if there are fewer images than a batch holds, or if the devices cannot share a batch equally (no run
            directory is made then), or if `open_run` raises it.
    """
    batches = EndlessBatches(images, args.batch_size)
    args.steps = args.steps or args.epochs * batches.steps_per_epoch
    devices = backend.distribution(args.distribute)
    if args.batch_size % devices.count:
        raise UserError(f"--batch-size {args.batch_size} cannot be shared by {devices.count} devices: use a multiple")
    opened = lambda: open_run(args, article, len(batches.images), fixed_flags, array_checksum(batches.images))
    return (opened() if backend.process_index_and_count()[1] == 1 else _open_together(args, article, opened)), devices


def _open_together(args, article, opened):
    """Return the run directory of this process of several: of the first one the true one, else a temporary copy.

    Args:
        args: flags, with the preset applied.
        article: str, folder of the article.
        opened: function that opens the run directory for writing and returns its path.

    Raises:
        UserError: in all processes, if it does in the first one.
    """
    is_first, refusal, run_dir = backend.process_index_and_count()[0] == 0, None, None
    try:
        run_dir = opened() if is_first else None
    except UserError as error:
        refusal = error
    if backend.any_process(refusal is not None):
        raise refusal or UserError("the first process cannot begin: see its error")
    if not is_first:
        run_dir = Path(backend.temporary_folder())
        shutil.copytree(run_dir_of(args, article), run_dir, dirs_exist_ok=True)
    backend.any_process(False)  # from here on the first one writes
    return run_dir
