"""The animation of a training, from the pictures that it saved."""

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from common.plots.images import save_gif

MAX_FRAMES = 60  # of the animation of a training: 15 seconds


def save_training_gif(path, pictures, max_frames=MAX_FRAMES):
    """Write the pictures of a training into a GIF, without those that cannot be read.

    A picture is left out, and named in a printed line, if it is damaged or if its size is not that of most others.
    Of many pictures, evenly spaced ones are taken, with the first and the last. If there are none, no GIF is written.

    Args:
        path: path of the GIF.
        pictures: paths of the PNG files, in the order of the training.
        max_frames: int, greatest number of frames, at least 2 (default 60).

    Returns:
        Number of frames.

    Raises:
        UserError: if the GIF cannot be written; an older file stays as it was.
    """
    usable = of_usual_size(pictures)
    checked = {}  # picture -> its mode, or None if it cannot be decoded
    while True:
        chosen = evenly_spaced(usable, max_frames)
        checked |= {picture: _decoded_mode(picture) for picture in chosen if picture not in checked}
        if all(checked[picture] for picture in chosen):
            break
        usable = [picture for picture in usable if checked.get(picture, "not checked")]
    skipped = [Path(picture).name for picture in pictures if Path(picture) not in usable]
    if skipped:
        print(f"{path}: without {_some(skipped)}: damaged, or of another size than most pictures", flush=True)
    if chosen:
        mode = "L" if all(checked[picture] == "L" for picture in chosen) else "RGB"
        save_gif(path, (np.asarray(_read(picture, mode)) for picture in chosen))
    return len(chosen)


def of_usual_size(pictures):
    """Return the paths of those pictures whose header can be read and whose size is that of most."""
    sizes = {Path(picture): _size(Path(picture)) for picture in pictures}
    # of two sizes that are equally frequent, that of the newer picture
    known = Counter(size for size in reversed(sizes.values()) if size)
    usual = max(known, key=known.get, default=None)
    return [picture for picture, size in sizes.items() if size and size == usual]


def evenly_spaced(items, most):
    """Return at most `most` (at least 2) items of a list, evenly spaced, with the first and the last one."""
    if len(items) <= most:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _size(path):
    """Return (width, height) of a picture, or None if its header cannot be read."""
    if not path.is_file():  # a pipe would block
        return None
    try:
        with Image.open(path) as image:
            return image.size
    except Exception:  # a damaged file fails in many ways
        return None


def _decoded_mode(path):
    """Return Pillow's mode of a picture, such as "RGB", or None if it cannot be decoded."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.mode
    except Exception:
        return None


def _read(path, mode):
    with Image.open(path) as image:
        return image.convert(mode)


def _some(names, most=3):
    """Return the first few names and the number of the others."""
    others = f" and {len(names) - most} others" if len(names) > most else ""
    return ", ".join(names[:most]) + others
