"""Decode the bytes of one image file to uint8 pixels: upright, cropped, resized, without transparency."""

import contextlib
import io
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from common.data.file_types import HEAD_BYTES, looks_like_image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no format that starts another program (EPS)
MAX_PIXELS = 50_000_000  # of one decoded image
TIFF_SAMPLE_FORMAT = 339  # the tag whose value 1, the default, means unsigned integers
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

    An animation or a file of several pages gives its first picture. The EXIF orientation is applied. Transparent
    pixels are laid over white, as a web page shows them. Deeper pixels are scaled to 8 bits, see `to_8_bits`.

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
    with _reasons(data):
        image = _open(data)
        image.load()
        is_unsigned = hasattr(image, "tag_v2") and np.ravel(image.tag_v2.get(TIFF_SAMPLE_FORMAT, 1))[0] == 1
        return crop_and_resize(_to_mode(_upright(image), channels, is_unsigned), size, crop)


def is_grey(data: bytes) -> bool:
    """Return whether an image file shows shades of grey alone, in whatever form it stores them.

    Raises:
        BadImage: as `decode`.
    """
    with _reasons(data):
        image = _open(data)
        if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I"):
            return True
        image.load()
        red, green, blue = np.moveaxis(np.asarray(_to_mode(image, 3)), -1, 0)
        return bool((red == green).all() and (green == blue).all())


def _open(data):
    if not data:
        raise BadImage("empty file")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    return image


@contextlib.contextmanager
def _reasons(data):
    """Turn every exception that an image file can raise into a `BadImage` with the reason in a few words."""
    try:
        yield
    except BadImage:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except UnidentifiedImageError:
        reason = "damaged, or of a rare kind" if looks_like_image(data[:HEAD_BYTES]) else "not an image"
        raise BadImage(reason) from None
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


def _to_mode(image, channels, is_unsigned=False):
    """Return the image in 8 bits, as grayscale or RGB, with white behind transparent pixels."""
    if image.mode == "F" or image.mode.startswith("I"):
        pixels = np.asarray(image)
        if pixels.dtype == np.int32 and is_unsigned:
            pixels = pixels.view(np.uint32)  # Pillow has no mode for these
        image = Image.fromarray(to_8_bits(pixels))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """Return deep pixels as uint8.

    White is the largest value of the pixels' type. Many programs store smaller numbers in a large type, which would
    be black then. So white is the smallest of these that no pixel exceeds: 255, 65535 and the largest number of the
    type; for floating-point pixels 1, 255 and 65535.

    Args:
        pixels: grayscale (height, width): integers or floats.

    Raises:
        BadImage: if a pixel is negative, NaN or infinite: nothing says then which value is black or white.
    """
    if not np.isfinite(pixels).all():
        raise BadImage("its pixels are not numbers")
    if pixels.min() < 0:
        raise BadImage("negative pixels")
    scales = (1, 255, 65535) if pixels.dtype.kind == "f" else (255, 65535, np.iinfo(pixels.dtype).max)
    white = next((scale for scale in scales if pixels.max() <= scale), None)
    if white is None:
        raise BadImage(f"pixels above {scales[-1]}")
    return np.rint(pixels.astype(np.float64) * (255 / white)).astype(np.uint8)
