"""Look at your own photos before a training: what would be used, what is left out and why, and how long it takes.

    python -m common.data PHOTOS
    python -m common.data PHOTOS --crop face      # a square around the largest face of each photo

Writes a contact sheet to `<out>/photos/`. The time is estimated from a few steps of `ogan/train.py --preset quick`.
The decoded photos are kept, so that the training begins at once.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from common.cli import Parser, main
from common.data.images import CROPS
from common.errors import UserError
from common.flag_types import images_path, output_folder

ROOT = Path(__file__).parents[2]
SIZE, BATCH, STEPS = 32, 64, 4000  # of ogan/train.py --preset quick
TIMED_STEPS = 40
N_SHOWN = 64  # photos of the contact sheet


def make_parser():
    """Return the parser of `python -m common.data`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("photos", metavar="PHOTOS", type=images_path, help="folder, zip or tar of photos")
    p.add_argument("--crop", choices=CROPS, default=CROPS[0], help="as for a training (default square)")
    p.add_argument("--out", type=output_folder, default="runs", help="folder of the contact sheet (default runs)")
    return p


def read_sizes(path):
    """Return (width, height) of every photo whose size can be read, from the smallest to the largest.

    Args:
        path: folder or archive.
    """
    from common.data.decoding import BadImage, quiet_pillow, upright_size
    from common.data.progress import progress_bar
    from common.data.readers import open_images

    sizes = []
    with open_images(path) as entries, quiet_pillow():
        advance = progress_bar(len(entries), f"reading the sizes of {len(entries)} photos")
        for entry in entries:
            with contextlib.suppress(BadImage):
                sizes.append(upright_size(entry.read()))
            advance(1)
    return sorted(sizes, key=lambda size: (size[0] * size[1], size))


def left_out(skipped):
    """Return one line per reason for which photos were left out, the most frequent one first.

    Args:
        skipped: (name, reason) of each.
    """
    examples = {reason: name for name, reason in reversed(skipped)}
    counts = Counter(reason for _, reason in skipped)
    return [f"{count}: {reason}, for example {examples[reason]}" for reason, count in counts.most_common()]


def advice(n):
    """Return whether n photos are enough to train on, by the measurements in the README."""
    if n < 300:
        return "too few: take at least 300"
    if n < 6000:
        return "enough for a first look, not for photos that were held out; the README's faces were learned from 6,076"
    return "about as many as the README's faces were learned from"


def train_command(dataset, crop, n):
    """Return the arguments of the quick training on a folder: the script, then its flags.

    Args:
        dataset: str, "folder:PATH".
        crop: str, value of --crop.
        n: int, number of training images, of which a batch cannot have more.
    """
    flags = ["--crop", crop] if crop != CROPS[0] else []
    flags += ["--batch-size", str(n)] if n < BATCH else []
    return ["ogan/train.py", "--dataset", dataset, "--preset", "quick", *flags]


def seconds_per_step(command, batch_size):
    """Return the seconds of one training step, measured in a short training that is thrown away.

    Args:
        command: as `train_command` returns it.
        batch_size: int, images per step.

    Raises:
        UserError: if that training fails; the message is its last line.
    """
    from common.training.log import images_per_second, read_log

    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory() as folder:
        length = ["--steps", str(TIMED_STEPS), "--every", str(TIMED_STEPS // 4), "--out", folder]
        words = [sys.executable, "-m", command[0].removesuffix(".py").replace("/", "."), *command[1:], *length]
        done = subprocess.run(words, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
        logs = list(Path(folder).rglob("log.csv"))
        if done.returncode or not logs:
            raise UserError(f"the short training failed: {(done.stderr.strip().splitlines() or ['no output'])[-1]}")
        return batch_size / images_per_second(read_log(logs[0]), batch_size)


def run(args):
    """Print what the photos are and what to run next, and write the contact sheet."""
    from common.data.images import load_images
    from common.plots.images import image_grid
    from common.plots.labels import save_labelled

    dataset = f"folder:{os.path.realpath(args.photos)}"
    sizes = read_sizes(args.photos)
    train, test = (load_images(dataset, SIZE, split, crop=args.crop) for split in ("train", "test"))
    with contextlib.redirect_stdout(io.StringIO()):  # which photos are left out is said below
        shown = load_images(dataset, 2 * SIZE, "all", limit=N_SHOWN, crop=args.crop).array
    n, skipped = len(train.array), list(dict.fromkeys([*train.skipped, *test.skipped]))
    used = n + len(test.array)
    name = re.sub(r"[^\w-]+", "_", Path(dataset).name)
    sheet = Path(args.out) / "photos" / f"{name}-{args.crop}.png"
    save_labelled(sheet, image_grid(shown, columns=8), f"{len(shown)} of {used} photos, as a training crops them")

    middle = [sizes[0], sizes[len(sizes) // 2], sizes[-1]]
    smallest, median, largest = (f"{width} x {height}" for width, height in middle)
    print(f"photos: {used + len(skipped)}, of which {used} are used: {n} to train on, {used - n} held out to measure")
    colour = "grey" if train.array.shape[-1] == 1 else "colour"
    print(f"pixels: smallest {smallest}, median {median}, largest {largest}; {colour}")
    for line in left_out(skipped):
        print(f"left out, {line}")
    print(f"enough? {n} photos are {advice(n)}")
    print(f"contact sheet: {sheet}", flush=True)

    command = train_command(dataset, args.crop, n)
    print("measuring the time of a training step ...", flush=True)
    seconds = seconds_per_step(command, min(n, BATCH))
    minutes = max(1, round(STEPS * seconds / 60))
    print(f"time: about {minutes} minutes here for {STEPS} steps, an estimate from {TIMED_STEPS} steps")
    print(f"next: python {shlex.join(command)}")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
