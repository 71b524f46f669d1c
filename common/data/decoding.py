"""Decode the bytes of one image file to uint8 pixels: upright, cropped, resized, without transparency."""

import contextlib
import functools
import io
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from common.data import faces
from common.data.file_types import HEAD_BYTES, has_avif, has_heic, is_heic, looks_like_image, unsupported

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # no format that starts another program (EPS)
LARGE_PIXELS = 50_000_000  # a larger image is shrunk before anything else, and one at a time
MAX_PIXELS = 200_000_000  # of an image that cannot be decoded at a reduced scale
EXIF_ORIENTATION = 0x0112  # the tag that says how a picture is turned
TIFF_SAMPLE_FORMAT = 339  # the tag whose value 1, the default, means unsigned integers
SQUARE = 1 << 30  # as a crop: the largest centre square
FACE = "face"  # as a crop: a square around the largest face
FACE_SIDE = 1024  # pixels of the shorter side, at least, of an image in which a face is searched
_one_large_image = threading.Lock()


class BadImage(Exception):
    """An image that cannot be used; the message gives the reason in a few words."""


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence Pillow's warnings about odd files, and lift its limit on pixels: `decode` has its own.

    Both belong to the whole process, so set them once around all threads.
    """
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="PIL")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def decode(data: bytes, size: int, channels: int = 3, crop: int | str | None = None) -> np.ndarray:
    """Decode an image file, crop it and resize it.

    An animation or a file of several pages gives its first picture. The EXIF orientation is applied. Transparent
    pixels are laid over white, as a web page shows them. Deeper pixels are scaled to 8 bits, see `to_8_bits`. A JPEG of
    more than `LARGE_PIXELS` is decoded at a reduced scale, so that its size does not matter.

    Args:
        data: the bytes of the file, in one of `FORMATS`, AVIF or HEIC.
        size: side of the result, in pixels.
        channels: 1 for grayscale, 3 for RGB.
        crop: see `crop_and_resize`; or `FACE`.

    Returns:
        uint8 array (size, size, channels).

    Raises:
        BadImage: if the file is empty, damaged, too large or not an image, or if the face to crop is not found.
    """
    with _reasons(data):
        image = _open(data)
        if crop == FACE:
            image, _ = _load(image, max(FACE_SIDE, 8 * size))
            image = _to_mode(image, 3)
            if (box := faces.largest_face(image)) is None:
                raise BadImage(faces.NO_FACE)
            return crop_and_resize(_to_mode(image.crop(box), channels), size)
        shorter = min(image.size)
        is_unsigned = hasattr(image, "tag_v2") and np.ravel(image.tag_v2.get(TIFF_SAMPLE_FORMAT, 1))[0] == 1
        if _n_pixels(image) <= LARGE_PIXELS:
            image.load()
            return crop_and_resize(_to_mode(_upright(image), channels, is_unsigned), size, crop)
        image, factor = _load(image, 4 * size * shorter // min(crop or shorter, shorter))
        return crop_and_resize(_to_mode(image, channels), size, crop and max(1, round(crop / factor)))


def is_grey(data: bytes) -> bool:
    """Return whether an image file shows shades of grey alone, in whatever form it stores them.

    Raises:
        BadImage: as `decode`.
    """
    with _reasons(data):
        image = _open(data)
        if image.mode in ("1", "L", "LA", "La", "F") or image.mode.startswith("I"):
            return True
        if _n_pixels(image) <= LARGE_PIXELS:
            image.load()
        else:
            image, _ = _load(image, FACE_SIDE)
        red, green, blue = np.moveaxis(np.asarray(_to_mode(image, 3)), -1, 0)
        return bool((red == green).all() and (green == blue).all())


def upright_size(data: bytes) -> tuple[int, int]:
    """Return (width, height) of an image file in pixels, turned as its EXIF orientation says. Nothing is decoded.

    Raises:
        BadImage: as `decode`.
    """
    with _reasons(data):
        image = _open(data)
        orientation = 1
        with contextlib.suppress(Exception):  # broken EXIF says nothing about the pixels
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
        return image.size[::-1] if orientation in (5, 6, 7, 8) else image.size


@functools.cache
def _formats():
    """Return the formats that can be read here, and teach Pillow to read HEIC if its package is installed."""
    if has_heic():
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)
    return (*FORMATS, *(["AVIF"] if has_avif() else []), *(["HEIF"] if has_heic() else []))


def _open(data):
    if not data:
        raise BadImage("empty file")
    if is_heic(data[:HEAD_BYTES]) and not has_heic():
        raise BadImage(unsupported(".heic"))
    image = Image.open(io.BytesIO(data), formats=_formats())
    is_jpeg = isinstance(image, JpegImagePlugin.JpegImageFile)
    if not (is_jpeg and "progressive" not in image.info) and _n_pixels(image) > MAX_PIXELS:
        raise BadImage(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    return image


def _n_pixels(image):
    return image.width * image.height


def _load(image, side):
    """Decode an image so that its shorter side has at least `side` pixels, if it has them, and not many more.

    JPEG decodes at 1/2, 1/4 or 1/8 of its size in as little memory. Other large images are decoded one at a time.

    Returns:
        (the image, upright; the factor by which it is smaller now).
    """
    shorter, is_large = min(image.size), _n_pixels(image) > LARGE_PIXELS
    with _one_large_image if is_large else contextlib.nullcontext():
        image.draft(None, (side, side))
        image.load()
        image = _upright(image)
        if image.has_transparency_data or image.mode in ("1", "P"):  # these cannot be averaged
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        elif image.mode.startswith("I;"):
            image = image.convert("I")
        image = image.reduce(max(1, min(image.size) // side))
    return image, shorter / min(image.size)


@contextlib.contextmanager
def _reasons(data):
    """Turn every exception that an image file can raise into a `BadImage` with the reason in a few words."""
    try:
        yield
    except BadImage:
        raise
    except Image.DecompressionBombError:  # without `quiet_pillow`
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
