"""Decode the bytes of one image file to uint8 pixels: upright, cropped, resized, without transparency."""

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no format that starts another program (EPS)
MAX_PIXELS = 50_000_000  # of one decoded image
SQUARE = 1 << 30  # as a crop: the largest centre square


class BadImage(Exception):
    """An image that cannot be used; the message gives the reason in a few words."""


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about odd files, and turn its warning about a huge image into an error.

    `decode` needs that error. Warning filters belong to the whole process, so set them once around all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(data: bytes, size: int, channels: int = 3, crop: int | None = None) -> np.ndarray:
    """Decode an image file, crop it and resize it.

    An animation gives its first frame. The EXIF orientation is applied. Transparent pixels are laid over white, as a
    web page shows them. 16 bits are scaled to 8 bits; Pillow alone would clip them.

    Args:
        data: the bytes of the file, in one of `FORMATS`.
        size: side of the result, in pixels.
        channels: 1 for grayscale, 3 for RGB.
        crop: see `crop_and_resize`.

    Returns:
        uint8 array (size, size, channels).

    Raises:
        BadImage: if the file is empty, damaged, too large or not an image.
    """
    if not data:
        raise BadImage("empty file")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels")
        image.load()
        return crop_and_resize(_to_mode(_upright(image), channels), size, crop)
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except UnidentifiedImageError:
        raise BadImage("not an image") from None
    except Exception as error:
        text = " ".join(str(error).split())[:60]
        raise BadImage("truncated" if "truncated" in text.lower() else f"corrupt: {text}") from None


def crop_and_resize(image: Image.Image, size: int, crop: int | None = None) -> np.ndarray:
    """Crop an image to its centre square and resize it bilinearly.

    Pillow's bilinear filter averages over the pixels when it shrinks. The author's `scipy.misc.imresize` called it.

    Args:
        image: grayscale or RGB.
        size: side of the result, in pixels.
        crop: upper limit on the side of the centre square, in pixels. Default None: use the whole image, and squeeze
            it if it is not square.

    Returns:
        uint8 array (size, size, channels).
    """
    if crop is not None:
        side = min(crop, image.width, image.height)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(size, size, -1)


def _upright(image):
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the pixels
        return image


def _to_mode(image, channels):
    """Return the image in 8 bits, as grayscale or RGB, with white behind transparent pixels."""
    if image.mode == "F":
        raise BadImage("floating-point pixels")
    if image.mode.startswith("I"):
        pixels = np.asarray(image).astype(np.int64)
        image = Image.fromarray(np.clip((pixels + 128) // 257, 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")
