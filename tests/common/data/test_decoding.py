"""Decoding: the pixels of each kind of image file, and the reason given for each kind of damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from common.data.decoding import SQUARE, BadImage, decode, quiet_pillow
from tests.helpers.datasets import encode, solid_png

RED = (200, 30, 40)
HALF = Image.new("RGBA", (8, 8), (*RED, 128))
PALETTE = Image.new("P", (8, 8), 1)
PALETTE.putpalette([0, 0, 0, *RED])
FRAMES = [Image.new("RGB", (8, 8), c) for c in (RED, (0, 0, 255))]
WIDE = Image.fromarray(np.full((8, 8), 32768, np.uint16))

MODES = {
    "rgb": (solid_png(RED), RED),
    "gray": (encode(Image.new("L", (8, 8), 90)), (90, 90, 90)),
    "bilevel": (encode(Image.new("1", (8, 8), 1)), (255, 255, 255)),
    "palette": (encode(PALETTE), RED),
    "palette with a transparent colour": (encode(PALETTE, transparency=1), (255, 255, 255)),
    "half transparent": (encode(HALF), (227, 142, 147)),
    "fully transparent": (encode(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), (255, 255, 255)),
    "gray and alpha": (encode(Image.new("LA", (8, 8), (0, 0))), (255, 255, 255)),
    "cmyk": (encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=100), (255, 0, 0)),
    "16 bits": (encode(WIDE), (128, 128, 128)),
    "16 bits tiff": (encode(WIDE, "TIFF"), (128, 128, 128)),
    "first frame": (encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), RED),
    "webp": (encode(Image.new("RGB", (8, 8), RED), "WEBP", lossless=True), RED),
    "one pixel": (solid_png(RED, (1, 1)), RED),
    "thin": (solid_png(RED, (40, 1)), RED),
}


def forged_png(width, height):
    """Return a PNG whose header promises more pixels than it holds."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = lambda body: struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT" + zlib.compress(b"\0" * 100)) + chunk(b"IEND")


def tiff(pixels, sample_format):
    """Return a grayscale TIFF of any type of pixels; the format is 1 for unsigned, 2 for signed, 3 for floats."""
    height, width = pixels.shape
    tags = {256: width, 257: height, 258: 8 * pixels.itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    tags |= {279: pixels.nbytes, 339: sample_format}
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag == 279 else 3, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 8 + pixels.nbytes) + pixels.tobytes() + directory


@pytest.mark.parametrize("kind", MODES)
def test_every_mode_becomes_rgb(kind):
    data, colour = MODES[kind]
    pixels = decode(data, 16, crop=SQUARE)
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.astype(int), np.broadcast_to(colour, (16, 16, 3)), atol=2)


def test_sixteen_bits_are_scaled_over_the_whole_range():
    ramp = np.array([[0, 257, 128 * 257, 65535]] * 4, np.uint16)
    pixels = decode(encode(Image.fromarray(ramp)), 4, channels=1)
    assert pixels.shape == (4, 4, 1) and pixels[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    "dtype, values, expected",
    [
        ("uint16", [0, 257 * 9, 257 * 200, 65535], [0, 9, 200, 255]),
        ("uint16", [0, 9, 200, 255], [0, 9, 200, 255]),  # an 8-bit picture in 16 bits
        ("int32", [0, 9, 200, 255], [0, 9, 200, 255]),
        ("int32", [0, 257 * 9, 257 * 200, 65535], [0, 9, 200, 255]),
        ("int32", [0, 2**30, 2**31 - 1, 70000], [0, 128, 255, 0]),
        ("float32", [0, 0.2, 0.5, 1], [0, 51, 128, 255]),
        ("float32", [0, 9.4, 200, 255], [0, 9, 200, 255]),
        ("float32", [0, 257 * 9, 257 * 200, 65535], [0, 9, 200, 255]),
    ],
)
def test_deep_pixels_are_scaled_to_their_range(kind, dtype, values, expected):
    if kind == "PNG" and dtype != "uint16":
        pytest.skip("PNG has no such pixels")
    data = encode(Image.fromarray(np.array([values] * 4, dtype)), kind)
    assert decode(data, 4, channels=1)[0, :, 0].tolist() == expected
    assert (decode(data, 4) == decode(data, 4, channels=1)).all()


def test_unsigned_32_bit_tiffs_are_read_in_full():
    pixels = np.array([[0, 2**31, 2**32 - 1, 0]] * 4, "<u4")
    assert decode(tiff(pixels, sample_format=1), 4, channels=1)[0, :, 0].tolist() == [0, 128, 255, 0]


@pytest.mark.parametrize("kind, options", [("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PNG", {})])
def test_of_several_pictures_the_first_one_counts(kind, options):
    data = encode(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert (decode(data, 8) == RED).all()


def test_exif_orientation_is_applied():
    upright = Image.new("RGB", (8, 8), "white")
    upright.paste((0, 0, 0), (0, 0, 8, 4))  # black above
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    data = encode(upright.rotate(180), "JPEG", exif=exif, quality=100)
    pixels = decode(data, 8)
    assert pixels[:3].max() < 30 and pixels[5:].min() > 225


def test_crop_is_the_centre_square_then_bilinear():
    rows = np.zeros((218, 178, 3), np.uint8)
    rows[..., 0] = np.arange(218)[:, None]  # red is the row's number
    celeba = decode(encode(rows), 178, crop=178)
    assert celeba[0, 0, 0] == 20 and celeba[-1, 0, 0] == 197  # the author's celeba crop: rows 20 to 197
    assert decode(encode(rows), 64, crop=64)[0, 0, 0] == 77
    small = decode(encode(rows), 89, crop=SQUARE)
    expected = Image.fromarray(rows[20:198]).resize((89, 89), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(small, np.asarray(expected))
    squeezed = decode(encode(rows), 178, crop=None)  # no crop: all rows, squeezed
    assert squeezed[0, 0, 0] <= 1 and squeezed[-1, 0, 0] >= 216


NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty"),
        (b"<html>not here</html>", "not an image"),
        (encode(NOISE, "JPEG")[:900], "truncated"),
        (encode(NOISE)[:900], "truncated"),
        (encode(NOISE)[:60] + b"\xff" * 900 + encode(NOISE)[960:], "corrupt"),
        (forged_png(20000, 11000), "more than 200 megapixels"),  # Pillow itself refuses here
        (forged_png(60000, 60000), "more than 200 megapixels"),
        (encode(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF"), "not numbers"),
        (encode(Image.fromarray(np.full((8, 8), np.inf, np.float32)), "TIFF"), "not numbers"),
        (encode(Image.fromarray(np.full((8, 8), -1, np.float32)), "TIFF"), "negative pixels"),
        (encode(Image.fromarray(np.full((8, 8), -1, np.int32)), "TIFF"), "negative pixels"),
        (encode(Image.fromarray(np.full((8, 8), 1e30, np.float32)), "TIFF"), "pixels above"),
        (tiff(np.ones((8, 8)), sample_format=3), "damaged, or of a rare kind"),  # 64 bits
        (tiff(np.full((8, 8), -5, np.int16), sample_format=2), "negative pixels"),
    ],
)
def test_bad_images_raise_with_the_reason(data, reason):
    with quiet_pillow(), pytest.raises(BadImage, match=reason):
        decode(data, 8)
