"""Measure whole trainings of O-GAN as pixels and images grow: their time beside that of bare steps, and their memory.

    python bench/scale.py                                            # drawn faces of 32, 64 and 128 pixels
    python bench/scale.py --dataset mnist --data-dir ~/Downloads --sizes 32 --images 1000 10000 60000

Each training is `ogan/train.py --preset quick` in a process of its own, on prepared data, with two intervals of
pictures and checkpoints. `whole` is the time from its start to its last file, `training` that of its steps, at the pace
of the second interval. `bare` is that of as many steps on noise with neither log nor averages, timed before and after
it. `rest` is whole minus training: Keras, data, compiling, pictures and measurements. It is for a quiet CPU.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common.cli import Parser, apply_preset, dataset, image_size, main
from common.errors import UserError
from common.flag_types import data_folder, positive_int, sample_int

ROOT = Path(__file__).resolve().parents[1]
SIZE = 32  # pixels at which --steps are made
BARE_STEPS = 10  # at least


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--dataset", type=dataset, default="toy_faces", help="as ogan/train.py takes it (default toy_faces)")
    p.add_argument("--data-dir", type=data_folder, help="folder of its files")
    p.add_argument("--sizes", nargs="+", type=image_size, default=[32, 64, 128], help="pixels (default 32 64 128)")
    p.add_argument("--images", nargs="+", type=sample_int, default=[1000], help="training images (default 1000)")
    p.add_argument(
        "--steps", type=positive_int, default=400,
        help="steps at 32 pixels; fewer in proportion to the number of pixels (default 400)",
    )  # fmt: skip
    return p


def whole_run(command):
    """Return the seconds that a script takes in a process of its own.

    Args:
        command: list of str, after `python`.

    Raises:
        UserError: if it fails; what it wrote on standard error is seen above.
    """
    run = lambda: subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL).returncode
    duration, code = seconds(run)
    if code:
        raise UserError(f"{' '.join(command)} has failed with exit code {code}")
    return duration


def bare_job(flags, channels, steps):
    """Return a function that trains the networks of a run for some steps on noise.

    Args:
        flags: resolved flags of `ogan/train.py`.
        channels: int, of the images.
        steps: int.
    """
    from common.experiments.benchmark import fit_job, random_image_batches
    from ogan import train

    return fit_job(train.build(flags, channels)[0], random_image_batches(flags.size, channels, flags.batch_size), steps)


def seconds(function):
    """Return (the seconds that a function without arguments takes, what it returns)."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def measure(args, size, n_images):
    """Train once and return {column: value} of the table.

    Args:
        args: flags of this script.
        size: int, pixels.
        n_images: int, number of training images, or more than there are.

    Raises:
        UserError: if there are fewer images than a batch has, or the training fails.
    """
    from common.data.images import load_images
    from common.training.log import read_log
    from common.training.run_files import read_metrics
    from ogan import train

    steps = max(4, round(args.steps * (SIZE / size) ** 2))
    command = ["--preset", "quick", "--dataset", args.dataset, "--size", str(size), "--limit", str(n_images)]
    command += ["--steps", str(steps), "--every", str(-(-steps // 2))]
    command += ["--data-dir", str(args.data_dir)] if args.data_dir else []
    parser = train.make_parser()
    flags = apply_preset(parser.parse_args(command), parser, train.PRESETS)
    images, _ = (
        load_images(flags.dataset, size, split, flags.data_dir, limit=flags.limit).array for split in ("train", "test")
    )
    if len(images) < flags.batch_size:
        raise UserError(f"{len(images)} images are fewer than a batch of {flags.batch_size}: raise --images")
    bare_steps = max(BARE_STEPS, steps // 5)
    bare = bare_job(flags, images.shape[-1], bare_steps)
    bare()  # compiles
    with tempfile.TemporaryDirectory() as out:
        before, _ = seconds(bare)
        whole = whole_run([str(ROOT / "ogan/train.py"), *command, "--out", out])
        after, _ = seconds(bare)
        (results,) = Path(out).rglob("results.json")
        memory = read_metrics(results.parent, with_memory=True)["peak_memory_mb"]
        first, last = read_log(results.parent / "log.csv")
    training = steps * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    bare_seconds = steps * (before + after) / 2 / bare_steps
    return {
        "pixels": size, "images": len(images), "steps": steps, "whole, s": whole, "training, s": training,
        "bare, s": bare_seconds, "training / bare": training / bare_seconds, "rest, s": whole - training,
        "peak, MiB": memory,
    }  # fmt: skip


def run(args):
    for i, (size, n_images) in enumerate((size, n) for size in args.sizes for n in args.images):
        row = measure(args, size, n_images)
        if not i:
            print(f"| {' | '.join(row)} |\n|{'---|' * len(row)}")
        cells = (f"{value:,}" if isinstance(value, int) else f"{value:.4g}" for value in row.values())
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(run, make_parser())
