"""Command-line flags that the scripts share, presets, and one-line errors with exit code 2."""

import contextlib
import functools
import os
import sys

from common import backend
from common.data.catalog import is_digit_like
from common.data.images import CROPS, NAMES
from common.data.toy_2d import TOYS
from common.errors import UserError, one_line
from common.flag_types import (
    SIZES,
    batch_int,
    data_folder,
    dataset,
    float_in,
    image_size,
    nonnegative_int,
    output_folder,
    positive_int,
    run_folder,
    sample_int,
    width_int,
)
from common.parsers import Parser, add_export_flag, preset_table, refuse
from common.streams import guarded


def parser(description, presets, default_dataset="toy_faces", toys=False, sizes=SIZES, plane_presets=None):
    """Return a parser with the common flags of a training script. The article adds its own.

    A flag without a default of its own is `None` until `apply_preset` fills it.

    Args:
        description: str, shown by --help as it is.
        presets: dict of preset name -> {flag: value}.
        default_dataset: str, default of --dataset; None for a script that makes its data and has no flags for them.
        toys: bool, let --dataset take the 2-D data sets of `common.data.toy_2d` too.
        sizes: ints, the allowed values of --size, in pixels.
        plane_presets: dict like `presets`, of the same names, for points of the plane; shown by --help.
    """
    toys = TOYS if toys else ()
    tables = [preset_table(presets, "values of the presets:")]
    if plane_presets:
        without_size = {
            name: {f: v for f, v in preset.items() if f != "size"} for name, preset in plane_presets.items()
        }
        tables.append(preset_table(without_size, "values of the presets for points of the plane:"))
    p = Parser(description=description, formatter_class=Parser.RAW, epilog="\n\n".join(tables))
    add = p.add_argument
    if default_dataset is not None:
        add(
            "--dataset", type=functools.partial(dataset, toys=toys), default=default_dataset,
            help=f"training data: {', '.join((*NAMES, *toys))} or folder:PATH (default {default_dataset})",
        )  # fmt: skip
        add(
            "--data-dir", type=data_folder,
            help="folder of your downloads, searched first (default none); then $DATA_DIR and the Keras cache are "
            "searched; what is missing is downloaded if possible",
        )  # fmt: skip
    add(
        "--preset", choices=sorted(presets),
        help="defaults of the flags that name none here. smoke: a test of seconds; quick: minutes on 2 CPU cores; "
        "paper: the author's settings (default paper with a GPU or TPU, else quick)",
    )  # fmt: skip
    if default_dataset is not None:
        add(
            "--size", type=functools.partial(image_size, sizes=sizes),
            help=f"height and width of the images in pixels: {', '.join(map(str, sizes))}",
        )  # fmt: skip
        add(
            "--crop", choices=CROPS, default=CROPS[0],
            help="of the photos of folder:PATH: square, the largest centre square (default), or face, a square around "
            "the largest face; photos without one are left out",
        )  # fmt: skip
    add("--batch-size", type=batch_int, help="samples per training step, over all devices")
    length = p.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=positive_int, help="length of the training in passes over the data")
    length.add_argument("--steps", type=positive_int, help="length of the training in steps, one batch each")
    add("--seed", type=nonnegative_int, default=0, help="seed of every random number generator (default 0)")
    add("--out", type=output_folder, default="runs", help="folder that holds the run directories (default runs)")
    add(
        "--resume", nargs="?", const=True, default=False, type=run_folder, metavar="RUN_DIR",
        help="go on with the run in the folder RUN_DIR, with its flags; without RUN_DIR, go on with the run that has "
        "these flags, or begin it if there is none",
    )  # fmt: skip
    add(
        "--new", action="store_true",
        help="let --resume begin a run although runs with the same data and seed, but other flags, are there",
    )  # fmt: skip
    add(
        "--mixed-precision", choices=["float16", "bfloat16"],
        help="compute in half precision and keep the weights in float32 (default: all in float32)",
    )  # fmt: skip
    add("--distribute", action="store_true", help="split every batch over all devices, of a cluster too (default: one)")
    add_format(p)
    return p


def add_format(args_parser):
    """Add --format to a parser: `main` lets `common.plots.charts.write_figure` write that format beside each PNG."""
    args_parser.add_argument(
        "--format", choices=["svg", "pdf"], help="write every figure in this format too (default: as PNG alone)"
    )


def figure_parser(description, presets=None, preset_help=""):
    """Return a parser with the flags of a script that draws figures: --out, --format and, with presets, --preset.

    Args:
        description: str, shown by --help as it is.
        presets: dict of preset name -> its values, with "quick", the default.
        preset_help: str, says what the presets are.
    """
    p = Parser(description=description, formatter_class=Parser.RAW)
    p.add_argument(
        "--out", type=output_folder, default="runs", help="folder that holds the run directories (default runs)"
    )
    add_format(p)
    if presets:
        p.add_argument("--preset", choices=presets, default="quick", help=preset_help)
    return p


def gan_parser(description, presets, plane_presets=None):
    """Return `parser` with the further flags that `common.experiments.gan.run_gan` needs.

    Args:
        description: str, shown by --help as it is.
        presets: dict of preset name -> {flag: value}.
        plane_presets: see `parser`.
    """
    p = parser(description, presets, toys=True, plane_presets=plane_presets)
    add = p.add_argument
    add("--latent-dim", type=width_int, help="length of the latent vector z")
    add(
        "--width", type=width_int,
        help="channels of the 4 x 4 feature map in both networks; for 2-D points, units per hidden layer",
    )  # fmt: skip
    add("--kernel-size", type=positive_int, choices=[4, 5], help="kernel size of all convolutions, in pixels")
    add("--learning-rate", type=float_in(1e-8, 1), help="learning rate of Adam, for both networks")
    add(
        "--initializer", choices=["glorot_uniform", "dcgan"],
        help="start of the kernels for images: Keras's own, or that of DCGAN, N(0, 0.02)",
    )  # fmt: skip
    add("--negative-slope", type=float_in(0, 1), help="slope of LeakyReLU below 0 in the critic of images")
    add("--ema", type=float_in(0, 0.99999), help="momentum of the generator's averages over all steps; 0: none")
    add(
        "--features", choices=["classifier", "pixels", "inception"],
        help="features in which samples and data are compared "
        "(default classifier for digits and garments, else pixels; pixels needs no classifier and counts no modes)",
    )  # fmt: skip
    add("--every", type=positive_int, help="number of steps between pictures, measurements and checkpoints")
    add(
        "--limit", type=sample_int,
        help="train on N images drawn by lot, or on N points in 2-D "
        "(default: the preset's, else all images and 50000 points)",
    )  # fmt: skip
    add_export_flag(p)
    return p


def default_features(args):
    """Return the default of --features, or None for 2-D points, which are measured as they are."""
    if args.dataset in TOYS:
        return None
    return "classifier" if is_digit_like(args.dataset) else "pixels"


MEMORY_FLAGS = ("--batch-size", "--width", "--latent-dim", "--size", "--chains", "--points")
IMAGE_FLAGS = ("size", "initializer", "negative_slope", "kernel_size", "batch_norm", "without", "export_samples")
FLAGS_NOT_IN_RUN_NAME = {
    "dataset", "data_dir", "preset", "size", "epochs", "steps", "every", "seed", "out", "resume", "new", "distribute",
    "format", "enlarge", "export_samples",
}  # fmt: skip


def apply_preset(args, args_parser, presets, **derived):
    """Fill in the flags that the user left out, and set `args.variant`.

    This is the one place where flags get their values. Only the steps of --epochs wait for the data, in
    `common.experiments.setup.begin_run`. Without --preset, the preset is `paper` if there is a GPU or TPU, else
    `quick`. `args.variant` is a part of the run's name: the preset and the flags that differ from it. --epochs takes
    precedence over the preset's steps.

    Args:
        args: parsed flags of `args_parser`; changed in place.
        args_parser: the parser.
        presets: dict of preset name -> {flag: value}.
        **derived: flag=function of `args`, for a default that depends on other flags, as `default_features` does. It
            is called with the preset applied, if the flag has no value yet.

    Returns:
        `args`.

    Raises:
        UserError: if a flag for images is given for points, or --crop face for other images than one's own.
    """
    if getattr(args, "dataset", None) in TOYS:
        given = [flag for flag in IMAGE_FLAGS if getattr(args, flag, None) != args_parser.get_default(flag)]
        refuse(args, given, f"is for images, and {args.dataset} has points of the plane")
    if getattr(args, "crop", CROPS[0]) != CROPS[0] and not args.dataset.startswith("folder:"):
        raise UserError(f"--crop {args.crop} is for your own photos, folder:PATH: omit it for {args.dataset}")
    if args.preset is None:
        args.preset = "paper" if backend.accelerators() else "quick"
    preset = presets[args.preset]
    changes = []
    for flag, value in vars(args).items():
        if flag in {*FLAGS_NOT_IN_RUN_NAME, "variant"} or value in (args_parser.get_default(flag), preset.get(flag)):
            continue
        name = flag.replace("_", "-")
        if isinstance(value, bool):
            changes.append(name if value else f"no-{name}")
        else:
            changes.append("-".join(map(str, [name, *(value if isinstance(value, list) else [value])])))
    if not isinstance(args.resume, str):  # a run that is named keeps the variant of its `config.json`
        args.variant = "-".join([args.preset, *changes])
    for flag, value in preset.items():
        if getattr(args, flag) is None and not (flag == "steps" and args.epochs):
            setattr(args, flag, value)
    for flag, default in {"features": default_features, **derived}.items():
        if getattr(args, flag, "no such flag") is None:
            setattr(args, flag, default(args))
    return args


def main(run, args_parser, forward_unknown=False, backend_needed=True):
    """Parse the flags and call `run(args)`: the body of every script's `if __name__ == "__main__"`.

    A `UserError` ends the script with one line and exit code 2, Ctrl-C with exit code 130.

    Args:
        run: function of the parsed flags.
        args_parser: the script's parser.
        forward_unknown: bool, collect flags that the script does not know in the list `args.forwarded`. By default
            such a flag is an error.
        backend_needed: bool, import Keras before the call, which takes seconds.
    """
    try:
        with guarded(args_parser.prog):
            code = _call(run, args_parser, forward_unknown, backend_needed)
            if code:
                backend.leave(code)
    except BrokenPipeError:
        # The reader of our output is gone (`| head`). A normal exit would fail on flushing to it.
        os._exit(141)


def _call(run, args_parser, forward_unknown, backend_needed):
    """Parse the flags, call `run` and return the exit code."""
    args, unknown = args_parser.parse_known_args()
    if forward_unknown:
        args.forwarded = unknown
    elif unknown:
        args_parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        if backend_needed:
            backend.import_backend()
            backend.join_processes(getattr(args, "distribute", False))
        with _figure_format(getattr(args, "format", None)):
            run(args)
    except UserError as error:
        return _fail(args_parser.prog, error, error.topic)
    except KeyboardInterrupt as stop:
        print(f"\n{stop or 'interrupted'}", file=sys.stderr)
        return 130
    except Exception as error:
        if backend.lost_another(error):
            return _fail(args_parser.prog, "another process has ended; see its error, then start all with --resume")
        if not _is_out_of_memory(error):
            raise
        flags = [flag for flag in MEMORY_FLAGS if flag in args_parser._option_string_actions]
        advice = f"use a smaller {' or '.join(flags)}" if flags else "close other programs, or use a larger machine"
        return _fail(args_parser.prog, f"out of memory: {advice}. Received: {one_line(error)[:200]}", "out-of-memory")
    return 0


def _figure_format(name):
    """Return the context in which figures are written as PNG and in a second format, if it has a name."""
    if not name:
        return contextlib.nullcontext()
    import matplotlib  # here, because most calls draw nothing before they have trained

    return matplotlib.rc_context({"savefig.format": name})


def _is_out_of_memory(error):
    """Return whether an error of Python, numpy or a backend says that memory is short; that of JAX has no own type."""
    names = {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}
    return bool(names & {t.__name__ for t in type(error).__mro__}) or str(error).startswith("RESOURCE_EXHAUSTED")


def _fail(prog, error, topic=None):
    link = f" (more: docs/troubleshooting.md#{topic})" if topic else ""
    print(f"{prog}: error: {one_line(error)}{link}", file=sys.stderr)
    return 2
