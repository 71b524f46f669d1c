"""The flags every script shares, and the one way in which a script ends when the user has to mend something."""

import argparse
import functools
import os
import re
import sys

from common import backend
from common.data.images import NAMES
from common.data.toy_2d import TOYS
from common.errors import UserError

SIZES = (16, 32, 64, 128, 256, 512)  # the stride-2 networks halve an image down to 4 x 4


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong flag gets one line that says what is allowed, and exit code 2."""

    RAW = argparse.RawDescriptionHelpFormatter

    def __init__(self, **kwargs):
        # no abbreviations: `ablation.py --seed 5` belongs to the training, it is not half a --seeds
        super().__init__(allow_abbrev=False, **kwargs)

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (--help lists all flags)\n")


def positive_int(text):
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 1")
    return int(text)


def nonnegative_int(text):
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of at least 0")
    return int(text)


def float_in(low, high):
    """Type of a flag that takes a number from low to high."""

    def number(text):
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {low} to {high}")
        return value

    return number


def image_size(text, sizes=SIZES):
    """Type of --size."""
    if text not in map(str, sizes):
        raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(map(str, sizes))}")
    return int(text)


def dataset(text, toys=()):
    """Type of --dataset; `toys` are names that it takes besides those of images."""
    names = (*NAMES, *toys)
    if text not in names and not (text.startswith("folder:") and len(text) > len("folder:")):
        raise argparse.ArgumentTypeError(f"'{text}' is not one of {', '.join(names)}, folder:PATH")
    return text


def parser(description, presets, default_dataset="toy_faces", toys=False, sizes=SIZES):
    """Parser with the common flags; the article adds its own.

    A flag left out takes its value from the preset; `presets` maps a preset's name to a dict flag -> value. With
    `toys=True`, --dataset also takes the data sets of `common.data.toy_2d`; `sizes` are those of --size.
    """
    toys = TOYS if toys else ()
    p = Parser(description=description, formatter_class=Parser.RAW)
    add = p.add_argument
    kind = functools.partial(dataset, toys=toys)
    add("--dataset", type=kind, default=default_dataset, help=f"{', '.join((*NAMES, *toys))} or folder:PATH")
    add("--data-dir", help="where your downloads lie (else $DATA_DIR, the Keras cache, a download)")
    add("--preset", choices=sorted(presets), help="smoke: seconds; quick: minutes on 2 CPU cores; paper: the author's")
    size = functools.partial(image_size, sizes=sizes)
    add("--size", type=size, help=f"pixels: {', '.join(map(str, sizes))}")
    add("--batch-size", type=positive_int, help="images per step")
    length = p.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive_int, help="passes over the data")
    length.add_argument("--steps", type=positive_int, help="batches to train on")
    add("--seed", type=nonnegative_int, default=0, help="start of every random stream (default 0)")
    add("--out", default="runs", help="folder that holds the run directories (default runs)")
    add("--resume", action="store_true", help="go on with this run if it was begun, else begin it")
    add("--mixed-precision", choices=["float16", "bfloat16"], help="compute in half precision, keep weights in float32")
    add("--distribute", action="store_true", help="use all local devices")
    return p


def gan_parser(description, presets):
    """Return `parser` with the flags that `common.experiments.gan.run_gan` needs besides."""
    p = parser(description, presets, toys=True)
    add = p.add_argument
    add("--latent-dim", type=positive_int, help="length of z")
    add("--width", type=positive_int, help="channels of the 4 x 4 image, in the plane units of a layer; both networks")
    add("--kernel-size", type=int, choices=[4, 5], help="of all convolutions")
    add("--learning-rate", type=float_in(1e-8, 1), help="of Adam, both players")
    add("--features", choices=["classifier", "pixels", "inception"], help="in which distances are measured")
    add("--every", type=positive_int, help="steps between pictures, distances and checkpoints")
    add("--limit", type=positive_int, help="use only the first images of the data set")
    return p


FLAGS_NOT_IN_RUN_NAME = {
    "dataset",
    "data_dir",
    "preset",
    "size",
    "epochs",
    "steps",
    "every",
    "seed",
    "out",
    "resume",
    "distribute",
}


def apply_preset(args, args_parser, presets):
    """Fills the flags left out from the preset; without --preset, `paper` if there is an accelerator, else `quick`.

    Sets `args.variant`, the part of the run's name that tells the preset and the flags that depart from it.
    """
    if args.preset is None:
        args.preset = "paper" if backend.accelerators() else "quick"
    preset = presets[args.preset]
    departures = []
    for flag, value in vars(args).items():
        if flag in FLAGS_NOT_IN_RUN_NAME or value in (args_parser.get_default(flag), preset.get(flag)):
            continue
        name = flag.replace("_", "-")
        departures.append({True: name, False: f"no-{name}"}[value] if isinstance(value, bool) else f"{name}-{value}")
    args.variant = "-".join([args.preset, *departures])
    for flag, value in preset.items():
        if getattr(args, flag) is None and not (flag == "steps" and args.epochs):
            setattr(args, flag, value)
    return args


def main(run, args_parser, forward_unknown=False, backend_needed=True):
    """Parses the flags and calls `run(args)`; the body of every script's `if __name__ == "__main__"`.

    With `forward_unknown=True`, flags that the script does not know are left to it, in `args.rest`. With
    `backend_needed=False`
    Keras is not started first, which takes seconds.
    """
    args, unknown = args_parser.parse_known_args()
    if forward_unknown:
        args.rest = unknown
    elif unknown:
        args_parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        if backend_needed:
            backend.import_backend()
        run(args)
    except UserError as error:
        sys.exit(_fail(args_parser.prog, error))
    except KeyboardInterrupt as stop:
        print(f"\n{stop or 'interrupted'}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os._exit(141)  # the reader of our output went away (`| head`): nothing is left to be said


def _fail(prog, error):
    print(f"{prog}: error: {error}", file=sys.stderr)
    return 2
