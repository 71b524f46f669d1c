"""The animation of a training, from the pictures that it saved."""

import functools
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common.plots.images import save_gif
from common.streams import stage

CAPTION_HEIGHT, CAPTION_MARGIN = 22, 6  # pixels
MAX_FRAMES = 60  # of the animation of a training: 15 seconds


@stage("drawing the animation of the training")
def save_training_gif(path, pictures, max_frames=MAX_FRAMES):
    """Write the pictures of a training into a GIF with the step below each, without those that cannot be read.

    A picture is left out, and named in a printed line, if it is damaged or if its size is not that of most others.
    Of many pictures, evenly spaced ones are taken, with the first and the last. If there are none, no GIF is written.

    Args:
        path: path of the GIF.
        pictures: paths of the PNG files, step-0000000.png and so on, in the order of the training.
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
        captions = [caption_of_step(int(re.sub(r"\D", "", picture.stem) or 0)) for picture in chosen]
        width = max(map(caption_width, captions))
        pictures = zip(chosen, captions, strict=True)
        save_gif(path, (with_caption(np.asarray(_read(picture, mode)), text, width) for picture, text in pictures))
    return len(chosen)


def caption_of_step(step):
    """Return the caption of a frame of an animation: "step 12,000"."""
    return f"step {step:,}"


def with_caption(picture, text, width=0):
    """Return a picture with a line of text in a white strip below it.

    Args:
        picture: uint8 (h, w) or (h, w, c).
        text: str.
        width: int, least width of the result in pixels, so that the frames of an animation have one size (default: that
            of the picture and of the text).

    Returns:
        uint8 (h + `CAPTION_HEIGHT`, max(w, width), ...), white beside a narrow picture.
    """
    height, own_width = picture.shape[:2]
    width = max(width, own_width, caption_width(text))
    canvas = np.full((height + CAPTION_HEIGHT, width, *picture.shape[2:]), 255, "uint8")
    canvas[:height, :own_width] = picture
    strip = Image.fromarray(canvas[height:])
    ImageDraw.Draw(strip).text((CAPTION_MARGIN, CAPTION_HEIGHT / 2), text, "black", _caption_font(), anchor="lm")
    canvas[height:] = np.asarray(strip)
    return canvas


def caption_width(text):
    """Return the width of a caption in pixels."""
    return math.ceil(_caption_font().getlength(text)) + 2 * CAPTION_MARGIN


@functools.cache
def _caption_font():
    """Return matplotlib's own font, which is installed wherever figures are drawn."""
    from matplotlib.font_manager import FontProperties, findfont

    return ImageFont.truetype(findfont(FontProperties()), 13)


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
