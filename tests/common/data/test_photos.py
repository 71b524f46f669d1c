"""Photos as phones make them: of any size, turned, in HEIC and AVIF, cropped to the face."""

import importlib.util
import io

import numpy as np
import pytest
from PIL import Image, features

from common.data import cache, decoding, faces, file_types, images
from common.data.decoding import FACE, SQUARE, BadImage, decode, is_grey, quiet_pillow, upright_size
from common.data.images import load_images
from common.errors import UserError
from tests.helpers.datasets import encode, fill, numbered_pngs, solid_png

RED = (200, 30, 40)


def halves(width, height):
    """Return a picture that is red on the left and blue on the right."""
    image = Image.new("RGB", (width, height), RED)
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def with_orientation(number):
    """Return EXIF data that say how a picture is turned, 1 to 8."""
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@pytest.fixture(scope="module")
def photo():
    """A JPEG of 60 megapixels."""
    return encode(halves(10_000, 6_000), "JPEG", quality=50, exif=with_orientation(6))


def test_a_large_jpeg_is_decoded_at_a_reduced_scale(photo, monkeypatch):
    sizes, load = [], decoding._upright
    monkeypatch.setattr(decoding, "_upright", lambda image: sizes.append(image.size) or load(image))
    with quiet_pillow():
        pixels = decode(photo, 16, crop=SQUARE)
        assert not is_grey(photo)
    assert sizes == [(1250, 750), (2500, 1500)]  # 1/8 and 1/4
    assert upright_size(photo) == (6_000, 10_000)
    # turned by 90 degrees: red above, blue below
    np.testing.assert_allclose(pixels[:7].reshape(-1, 3), [RED] * 112, atol=4)
    np.testing.assert_allclose(pixels[9:].reshape(-1, 3), [(0, 0, 255)] * 112, atol=4)


def test_broken_exif_says_nothing_about_the_size():
    data = encode(halves(30, 20), "PNG", exif=b"Exif\x00\x00no TIFF header at all")
    assert upright_size(data) == (30, 20) and decode(data, 16, crop=SQUARE).shape == (16, 16, 3)


def test_the_reduced_scale_shows_the_same_crop(monkeypatch):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((800, 600), Image.Resampling.BICUBIC)
    for kind, options in (("JPEG", {"quality": 95}), ("PNG", {})):
        data = encode(image, kind, **options)
        for crop in (None, SQUARE, 178):
            whole = decode(data, 16, crop=crop).astype(int)
            with monkeypatch.context() as patch:
                patch.setattr(decoding, "LARGE_PIXELS", 1000)
                assert np.abs(decode(data, 16, crop=crop) - whole).mean() < 5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_can_be_large(mode, monkeypatch):
    image = Image.new("RGB", (64, 48), (90, 90, 90))
    image = Image.fromarray(np.full((48, 64), 90, np.uint16)) if mode == "I;16" else image.convert(mode)
    data = encode(image, "TIFF")
    whole = decode(data, 8)
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1000)
    np.testing.assert_allclose(decode(data, 8).astype(int).mean(), whole.mean(), atol=2)


def test_images_of_absurd_size_are_left_out_before_they_take_memory(monkeypatch):
    progressive, photo = (encode(halves(400, 300), "JPEG", progressive=p) for p in (True, False))
    png = encode(halves(400, 300))
    monkeypatch.setattr(decoding, "MAX_PIXELS", 100_000)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for data in (png, progressive):
        for function in (lambda data: decode(data, 8), is_grey, upright_size):
            with pytest.raises(BadImage, match="megapixels"):
                function(data)
    assert upright_size(photo) == (400, 300)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_turn_of_exif_is_undone(number, kind):
    upright = np.zeros((24, 16, 3), np.uint8)
    upright[:8, :8] = 255  # white at the top left
    stored = {
        **{1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1]},
        **{5: upright.swapaxes(0, 1), 6: np.rot90(upright), 7: np.rot90(upright, 2).swapaxes(0, 1)},
        **{8: np.rot90(upright, -1)},
    }[number]
    data = encode(stored, kind, exif=with_orientation(number))
    pixels = decode(data, 8).astype(int)
    assert upright_size(data) == (16, 24)
    assert pixels[:2, :3].min() > 200 and pixels[4:].max() < 55 and pixels[:, 5:].max() < 55


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow cannot read AVIF")
@pytest.mark.parametrize("name", ["a.avif", "a.jpg", "a"])
def test_avif_is_read(tmp_path, name):
    source = fill(tmp_path / "images", {name: encode(halves(64, 64), "AVIF", quality=90)})
    pixels = load_images(f"folder:{source}", 8, "all").array[0]
    np.testing.assert_allclose(pixels[:, :3].reshape(-1, 3), [RED] * 24, atol=8)


def test_heic_is_read_with_its_extra(tmp_path):
    pytest.importorskip("pillow_heif").register_heif_opener()
    for name in ("a.HEIC", "a.jpg", "a"):
        source = fill(tmp_path / name, {name: encode(halves(64, 64), "HEIF", quality=90, exif=with_orientation(3))})
        pixels = load_images(f"folder:{source}", 8, "all").array[0]  # EXIF turns nothing here: the format does it
        np.testing.assert_allclose(pixels[:, :3].reshape(-1, 3), [RED] * 24, atol=8)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 99


def test_heic_without_its_extra_is_counted_and_names_the_extra(tmp_path, monkeypatch, capsys):
    for module in (file_types, decoding):
        monkeypatch.setattr(module, "has_heic", lambda: False)
    source = fill(tmp_path / "images", numbered_pngs(9) | {"a.heic": HEIC, "b.jpg": HEIC})
    skipped = load_images(f"folder:{source}", 8, "all").skipped
    assert [name for name, _ in skipped] == ["a.heic", "b.jpg"]
    assert all('pip install -e ".[photos]"' in reason for _, reason in skipped)
    assert "skipped 2 of 11 images" in capsys.readouterr().out
    source = fill(tmp_path / "iphone", {f"{i}.HEIC": HEIC for i in range(3)})
    with pytest.raises(UserError, match=r"3 of 3 images.*\[photos\]"):
        load_images(f"folder:{source}", 8, "all")


@pytest.mark.parametrize(
    "name, reason", [("a.heic", ".heic files cannot be read: convert"), ("a.jpg", "more than 50 megapixels")]
)
def test_what_an_earlier_installation_left_out_is_read_now(tmp_path, monkeypatch, name, reason):
    monkeypatch.setattr(file_types, "has_heic", lambda: True)
    source = fill(tmp_path / "images", numbered_pngs(9) | {name: solid_png(90)})
    read = cache.read
    with monkeypatch.context() as patch:
        old = lambda target: (fields := read(target)) and fields | {"skipped": [(name, reason)]}
        load_images(f"folder:{source}", 8, "all", channels=3)
        patch.setattr(images.cache, "read", old)
        patch.setattr(images.cache, "prepare", lambda *_: pytest.fail("decoded again"))
        with pytest.raises(pytest.fail.Exception, match="decoded again"):
            load_images(f"folder:{source}", 8, "all", channels=3)
        patch.setattr(images.cache, "read", lambda target: read(target) | {"skipped": [(name, "corrupt: x")]})
        assert len(load_images(f"folder:{source}", 8, "all", channels=3).array) == 10


def test_a_single_image_is_a_source(tmp_path):
    source = fill(tmp_path, {"me.jpg": encode(halves(64, 64), "JPEG")}) / "me.jpg"
    photos = load_images(f"folder:{source}", 8, "all")
    assert photos.names == ["me.jpg"] and photos.array.shape == (1, 8, 8, 3)
    with pytest.raises(UserError, match="the test split is empty"):
        load_images(f"folder:{source}", 8, "test")


# ------------------------------------------------------------------------------------------------------------- faces


def test_the_crop_is_the_square_around_the_face(tmp_path, monkeypatch, capsys):
    """With a detector that finds the white square of a picture."""

    class Detector:
        def detectMultiScale(self, grey, **_):
            rows, columns = (np.flatnonzero(grey.max(axis) > 128) for axis in (1, 0))
            if not len(rows):
                return ()
            x, y, side = columns[0], rows[0], len(rows)
            return np.array([[x, y, side // 4, side // 4], [x, y, side, side]])

    monkeypatch.setattr(faces, "_detector", Detector)
    monkeypatch.setattr(faces, "has_detector", lambda: True)
    picture = Image.new("RGB", (900, 600), (0, 0, 90))
    picture.paste("white", (400, 200, 500, 300))
    assert faces.largest_face(picture) == (375, 175, 525, 325)
    picture.paste("white", (0, 0, 100, 100))
    picture.paste((0, 0, 90), (400, 200, 500, 300))
    assert faces.largest_face(picture) == (0, 0, 150, 150)
    members = {f"{i}.png": encode(picture) for i in range(3)} | {f"blank{i}.png": solid_png(9) for i in range(5)}
    source = fill(tmp_path / "images", members)
    square = load_images(f"folder:{source}", 8, "all")
    photos = load_images(f"folder:{source}", 8, "all", crop="face")
    assert photos.names == ["0.png", "1.png", "2.png"] and photos.array[:, :5, :5].min() > 240
    assert photos.skipped == [(f"blank{i}.png", "no face found") for i in range(5)]
    assert "skipped 5 of 8 images: blank0.png (no face found)" in capsys.readouterr().out
    with monkeypatch.context() as patch:  # the default crop is as before, and its array is kept
        patch.setattr(cache, "prepare", lambda *_: pytest.fail("decoded again"))
        again = [load_images(f"folder:{source}", 8, "all", crop=crop).array for crop in (None, "square")]
    assert all((array == square.array).all() and len(array) == 8 for array in again)
    with pytest.raises(UserError, match=r"no face was found in 5 images.*--crop square"):
        load_images(
            f"folder:{fill(tmp_path / 'blank', {n: d for n, d in members.items() if 'b' in n})}", 8, "all", crop=FACE
        )


def test_the_crop_of_faces_says_what_it_needs(tmp_path, monkeypatch):
    source = fill(tmp_path / "images", numbered_pngs(3))
    monkeypatch.setattr(faces, "has_detector", lambda: False)
    with pytest.raises(UserError, match=r'crops around faces need the extra photos: .*pip install -e "\.\[photos\]"'):
        load_images(f"folder:{source}", 8, crop="face")
    with pytest.raises(UserError, match="crops around faces are for your own photos"):
        load_images("toy_faces", 8, crop="face")
    with pytest.raises(UserError, match="unknown crop 'round'"):
        load_images(f"folder:{source}", 8, crop="round")


def test_opencv_brings_its_detector():
    cv2 = pytest.importorskip("cv2")
    assert importlib.util.find_spec("cv2") and not faces._detector().empty() and cv2.getNumThreads() == 1
    blank = Image.open(io.BytesIO(solid_png(120, (300, 300))))
    assert faces.largest_face(blank) is None
