"""Lay out images in grids and rows, and write PNG and GIF files.

Images are (n, height, width, channels) with 1 or 3 channels: uint8, or floats in [-1, 1]. Floats are rounded, and
clipped where a model overshoots. The functions return one uint8 picture (height, width, channels). The same input gives
the same bytes. Wrong shapes and types raise `ValueError`, and values that are not finite `UserError`.
"""

import math

import numpy as np
from PIL import Image

from common.data.checks import check_finite
from common.data.images import to_uint8
from common.files import atomic_write

WHITE = 255
SAMPLE_COLUMNS = 9  # of a grid of samples


def image_grid(images, columns=None, gutter=0, scale=1):
    """Return a picture of images laid out row by row.

    Args:
        images: (n, h, w, c), n at least 1.
        columns: int, images in a row (default: of the smallest square that holds all). The rest of the last row is
            white.
        gutter: int, white pixels between images, before scaling (default 0). There are none at the border.
        scale: int, factor by which pixels are repeated to enlarge the picture (default 1).
    """
    images = _as_uint8_images(images)
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    _check_int("columns", columns, 1)
    _check_int("gutter", gutter, 0)
    n, height, width, channels = images.shape
    rows = math.ceil(n / columns)
    grid = np.full((rows, height + gutter, columns, width + gutter, channels), WHITE, "uint8")
    for i, image in enumerate(images):
        grid[i // columns, :height, i % columns, :width] = image
    grid = grid.reshape(rows * (height + gutter), columns * (width + gutter), channels)
    without_border = grid[: len(grid) - gutter, : grid.shape[1] - gutter]
    return _enlarge(without_border, scale)


def reconstruction_pairs(originals, reconstructions, columns=8, scale=1):
    """Return a grid of originals, each with its reconstruction to its right.

    Args:
        originals: (n, h, w, c), shown in the columns 0, 2, ...
        reconstructions: (n, h, w, c), shown in the columns 1, 3, ...
        columns: even int, images in a row (default 8). 32 pairs in 8 columns are the author's square.
        scale: int, factor by which pixels are repeated (default 1).
    """
    originals, reconstructions = _as_uint8_images(originals), _as_uint8_images(reconstructions)
    _check_same_shape("Originals and reconstructions", originals, reconstructions)
    if columns % 2:
        raise ValueError(f"columns must be an even number for pairs. Received: {columns}")
    pairs = np.stack([originals, reconstructions], 1)
    return image_grid(pairs.reshape(-1, *originals.shape[1:]), columns, scale=scale)


def interpolation_rows(originals_left, rows_of_images, originals_right, gutter=None, scale=1):
    """Return rows of an original, the decoded steps towards another original, and that original.

    Args:
        originals_left: (rows, h, w, c).
        rows_of_images: (rows, steps, h, w, c), the decoded steps.
        originals_right: (rows, h, w, c).
        gutter: int, white pixels between originals and steps, before scaling (default: the author's 20 at a width of
            128 pixels, in proportion).
        scale: int, factor by which pixels are repeated (default 1).
    """
    left, right = _as_uint8_images(originals_left), _as_uint8_images(originals_right)
    steps = _as_uint8_images(rows_of_images, 5)
    _check_same_shape("The originals of both ends", left, right)
    _check_same_shape("Originals and rows of steps", left, steps[:, 0])
    gutter = round(20 * left.shape[2] / 128) if gutter is None else gutter
    _check_int("gutter", gutter, 0)
    middle = image_grid(steps.reshape(-1, *left.shape[1:]), steps.shape[1])
    white = np.full((len(middle), gutter, left.shape[3]), WHITE, "uint8")
    parts = [image_grid(left, 1), white, middle, white, image_grid(right, 1)]
    return _enlarge(np.concatenate(parts, 1), scale)


def neighbours(queries, matches, scale=1):
    """Return a grid with a column per query: the query on top, its matches below it.

    Args:
        queries: (q, h, w, c).
        matches: (q, k, h, w, c), the nearest first.
        scale: int, factor by which pixels are repeated (default 1).
    """
    queries, matches = _as_uint8_images(queries), _as_uint8_images(matches, 5)
    _check_same_shape("Queries and matches", queries, matches[:, 0])
    rows = np.concatenate([queries[None], matches.swapaxes(0, 1)])
    return image_grid(rows.reshape(-1, *queries.shape[1:]), len(queries), scale=scale)


def save_png(path, image):
    """Write a picture into a PNG atomically, and create its folder if necessary.

    Args:
        path: path of the PNG.
        image: (h, w, c) or (h, w).

    Raises:
        ValueError: for another shape or type.
        UserError: if values are not finite, or if the file cannot be written; an older file stays as it was.
    """
    import imageio.v3 as iio

    image = as_picture(image)
    atomic_write(path, lambda temporary: iio.imwrite(temporary, image, extension=".png"))


def save_gif(path, frames, seconds_per_frame=0.25, last_seconds=2.0):
    """Write pictures into an endless GIF atomically, and create its folder if necessary.

    The frames are read one after another. Those before are held with one byte per pixel.

    Args:
        path: path of the GIF.
        frames: iterable of pictures (h, w, c) or (h, w), all of one shape.
        seconds_per_frame: float, duration of a frame (default 0.25).
        last_seconds: float, duration of the last frame (default 2).

    Raises:
        ValueError: for other shapes or types, no frames, or durations that are not positive or above 655.
        UserError: if values are not finite, or if the file cannot be written; an older file stays as it was.
    """
    if not all(0 < seconds <= 655 for seconds in (seconds_per_frame, last_seconds)):  # 16 bits of 10 ms each
        raise ValueError(f"Durations must be positive, up to 655. Received: {seconds_per_frame=}, {last_seconds=}")

    def write(temporary):
        images = _timed_images(frames, 1000 * seconds_per_frame, 1000 * last_seconds)
        first = next(images, None)
        if first is None:
            raise ValueError("A GIF needs at least one frame, all of one shape. Received: 0 frames")
        first.save(temporary, "GIF", save_all=True, append_images=images, loop=0)

    atomic_write(path, write)


def _timed_images(frames, milliseconds, last_milliseconds):
    """Yield frames as Pillow images. Their `info` holds their duration, where Pillow's GIF writer finds it."""
    frames, shape = iter(frames), None
    frame = next(frames, None)
    while frame is not None:
        following = next(frames, None)
        picture = as_picture(frame)
        shape = shape or picture.shape
        if picture.shape != shape:
            raise ValueError(f"The frames of a GIF must be all of one shape. Received: {shape} and {picture.shape}")
        image = Image.fromarray(picture)
        image.info["duration"] = last_milliseconds if following is None else milliseconds
        yield image
        frame = following


def _as_uint8_images(images, dimensions=4):
    """Return images as uint8, after checking their shape (number of dimensions, 1 or 3 channels, not empty)."""
    images = np.asarray(images)
    if images.ndim != dimensions or images.shape[-1] not in (1, 3) or not images.size:
        wanted = "(n, h, w, c)" if dimensions == 4 else "(rows, columns, h, w, c)"
        raise ValueError(f"Images must have the shape {wanted} with 1 or 3 channels. Received: {images.shape}")
    return _to_bytes(images)


def as_picture(image):
    """Return a picture as uint8 (h, w, 3), or (h, w) if it is grey."""
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or not image.size:
        raise ValueError(f"A picture must have the shape (h, w) or (h, w, 1 or 3). Received: {image.shape}")
    image = _to_bytes(image)
    return image[..., 0] if image.shape[-1] == 1 else image


def _to_bytes(values):
    """Return uint8 values as they are, and floats in [-1, 1] as uint8."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind != "f" and values.dtype.name != "bfloat16":
        raise ValueError(f"Images must be uint8 or floats in [-1, 1]. Received: {values.dtype}")
    check_finite("the pixels of a picture", values)
    if values.min() >= 0 and values.max() > 2:  # too far from [-1, 1] for a model that overshoots
        raise ValueError(f"Floats must lie in [-1, 1]. Received: {values.min()} to {values.max()}")
    return to_uint8(values)


def _check_same_shape(names, a, b):
    if a.shape != b.shape:
        raise ValueError(f"{names} must have the same shape. Received: {a.shape} and {b.shape}")


def _check_int(name, value, least):
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} must be an integer, at least {least}. Received: {value!r}")


def _enlarge(picture, scale):
    """Return a picture with every pixel repeated `scale` times along both axes."""
    _check_int("scale", scale, 1)
    return picture.repeat(scale, 0).repeat(scale, 1)
