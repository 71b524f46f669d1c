"""Readers: what every kind of image file turns into, and what every kind of damage is called."""

import gzip
import io
import os
import stat
import struct
import sys
import tarfile
import types
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from common.data import readers
from common.data.readers import BadImage, decode, open_images, read_idx, safe_name
from common.errors import UserError

RED = (200, 30, 40)


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(colour=RED, size=(16, 16)):
    return encode(Image.new("RGB", size, colour))


def forged_png(width, height):
    """A PNG whose header promises more than it holds."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = lambda body: struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT" + zlib.compress(b"\0" * 100)) + chunk(b"IEND")


def zip_of(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_of(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def contents(path):
    with open_images(path) as entries:
        return {entry.name: entry.read() for entry in entries}


# --------------------------------------------------------------------------------------------------------- decoding

HALF = Image.new("RGBA", (8, 8), (*RED, 128))
PALETTE = Image.new("P", (8, 8), 1)
PALETTE.putpalette([0, 0, 0, *RED])
FRAMES = [Image.new("RGB", (8, 8), c) for c in (RED, (0, 0, 255))]
WIDE = Image.fromarray(np.full((8, 8), 32768, np.uint16))

MODES = {
    "rgb": (png(), RED),
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
    "one pixel": (png(size=(1, 1)), RED),
    "thin": (png(size=(1, 40)), RED),
}


@pytest.mark.parametrize("kind", MODES)
def test_every_mode_becomes_rgb(kind):
    data, colour = MODES[kind]
    pixels = decode(data, 16, crop=readers.SQUARE)
    assert pixels.shape == (16, 16, 3) and pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels.astype(int), np.broadcast_to(colour, (16, 16, 3)), atol=2)


def test_sixteen_bits_are_scaled_over_the_whole_range():
    ramp = np.array([[0, 257, 128 * 257, 65535]] * 4, np.uint16)
    pixels = decode(encode(Image.fromarray(ramp)), 4, channels=1)
    assert pixels.shape == (4, 4, 1) and pixels[0, :, 0].tolist() == [0, 1, 128, 255]


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
    whole = decode(encode(Image.fromarray(rows)), 178, crop=178)
    assert whole[0, 0, 0] == 20 and whole[-1, 0, 0] == 197  # the author's celeba crop: rows 20 to 197
    assert decode(encode(Image.fromarray(rows)), 64, crop=64)[0, 0, 0] == 77
    small = decode(encode(Image.fromarray(rows)), 89, crop=readers.SQUARE)
    np.testing.assert_array_equal(
        small, np.asarray(Image.fromarray(rows[20:198]).resize((89, 89), Image.Resampling.BILINEAR))
    )
    squeezed = decode(encode(Image.fromarray(rows)), 178, crop=None)  # no crop: all rows, squeezed
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
        (forged_png(8000, 7000), "megapixels"),
        (forged_png(11000, 11000), "megapixels"),  # Pillow itself warns here
        (forged_png(60000, 60000), "megapixels"),  # and refuses here
        (encode(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "floating-point"),
    ],
)
def test_bad_images_are_named(data, reason):
    with readers.quiet_pillow(), pytest.raises(BadImage, match=reason):
        decode(data, 8)


# ---------------------------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "tar.gz", "tar.xz"])
def test_the_same_images_from_every_container(tmp_path, kind):
    members = {f"set/{n}/{i}.png": png((i, 2, 3)) for n in ("b", "ä") for i in range(3)}
    junk = {"set/readme.txt": b"x", "__MACOSX/set/b/._0.png": b"x", "set/.hidden.png": b"x", "set/b/._1.png": b"x"}
    source = tmp_path / (kind if kind == "folder" else f"images.{kind}")
    if kind == "folder":
        for name, data in {**members, **junk}.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes(data)
    elif kind == "zip":
        zip_of(source, {**members, **junk})
    else:
        tar_of(source, {**members, **junk}, f"w:{kind[4:]}")
    assert contents(source) == members


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_hostile_names_touch_nothing(tmp_path, make):
    names = ["../../etc/passwd.png", "/root/abs.png", "C:\\Windows\\a.png", "a\nb\x1b[31m.png", "../../etc/passwd"]
    folder = tmp_path / "in"
    folder.mkdir()
    path = make(folder / ("x.zip" if make is zip_of else "x.tgz"), dict.fromkeys(names, png()))
    found = contents(path)
    assert sorted(found) == ["Windows/a.png", "a?b?[31m.png", "etc/passwd.png", "root/abs.png"]
    assert os.listdir(folder) == [path.name] and os.listdir(tmp_path) == ["in"]


def test_links_in_archives_are_not_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    link = zipfile.ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, str(tmp_path / "secret.png"))
        archive.writestr("real.png", png())
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("link.png")
        info.type, info.linkname = tarfile.SYMTYPE, str(tmp_path / "secret.png")
        archive.addfile(info)
        archive.add(tmp_path / "secret.png", "real.png")
    assert set(contents(tmp_path / "x.zip")) == set(contents(tmp_path / "x.tar")) == {"real.png"}


def test_odd_files_in_a_folder(tmp_path):
    (tmp_path / "good.png").write_bytes(png())
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "good.png")
    os.mkfifo(tmp_path / "pipe.png")
    with open(os.path.join(os.fsencode(tmp_path), b"latin-\xe4.png"), "wb") as f:  # not UTF-8
        f.write(png())
    with open_images(tmp_path) as entries:
        reads = {e.name: e.read for e in entries}
        assert set(reads) == {"good.png", "gone.png", "linked.png", "latin-?.png"}
        assert reads["linked.png"]() == reads["latin-?.png"]() == png()
        with pytest.raises(BadImage, match="No such file"):
            reads["gone.png"]()
    assert readers.fingerprint(tmp_path)  # a name that is no UTF-8 does not stop it


def test_unreadable_file_and_folder(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(png())
    path = zip_of(tmp_path / "x.zip", {"a.png": png()})

    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied", str(args[0]))

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", denied)
        with open_images(tmp_path) as entries, pytest.raises(BadImage, match="Permission denied"):
            entries[0].read()
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", denied)
        with pytest.raises(UserError, match="permission denied"), open_images(path):
            pass
    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(UserError, match="permissions"), open_images(tmp_path):
        pass


def reason_of(path):
    with open_images(path) as entries, pytest.raises(BadImage) as caught:
        entries[0].read()
    return str(caught.value)


def test_zip_bombs_are_read_no_further_than_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_BYTES", 1 << 20)
    bomb = b"\0" * (5 << 20)
    deflated = zip_of(tmp_path / "x.zip", {"a.png": bomb}, compression=zipfile.ZIP_DEFLATED)
    assert reason_of(deflated) == "more than 1 MB"
    data = deflated.read_bytes()  # the same bomb, declared to be 100 bytes long
    deflated.write_bytes(data.replace(struct.pack("<I", len(bomb)), struct.pack("<I", 100)))
    assert "damaged" in reason_of(deflated)
    assert "unsupported" in reason_of(zip_of(tmp_path / "y.zip", {"a.png": bomb}, compression=zipfile.ZIP_BZIP2))
    assert reason_of(tar_of(tmp_path / "z.tgz", {"a.png": bomb})) == "more than 1 MB"


def test_encrypted_and_damaged_members(tmp_path):
    path = zip_of(tmp_path / "x.zip", {"a.png": png()})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag word of the member, in both places
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    assert reason_of(path) == "encrypted"
    data = bytearray(zip_of(tmp_path / "y.zip", {"a.png": png()}).read_bytes())
    data[45] ^= 255
    (tmp_path / "y.zip").write_bytes(data)
    assert "damaged" in reason_of(tmp_path / "y.zip")


def test_sources_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("x")
    (tmp_path / "not.zip").write_text("<html>quota exceeded</html>")
    (tmp_path / "a.rar").write_text("x")
    whole = zip_of(tmp_path / "whole.zip", {f"{i}.png": png() for i in range(9)}).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    whole = tar_of(tmp_path / "whole.tgz", {f"{i}.png": encode(NOISE) for i in range(9)}).read_bytes()
    (tmp_path / "half.tgz").write_bytes(whole[: len(whole) // 2])
    wrong = {"empty": "no images", "text": "no images", "not.zip": "damaged", "a.rar": "not a folder or an archive"}
    for name, message in {**wrong, "half.zip": "half downloaded", "half.tgz": "half downloaded"}.items():
        with pytest.raises(UserError, match=message) as caught, open_images(tmp_path / name):
            pass
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        readers.fingerprint(tmp_path / "nowhere")
    zip_of(tmp_path / "text.zip", {"a.txt": b"x"})
    with pytest.raises(UserError, match="no images"), open_images(tmp_path / "text.zip"):
        pass


def test_lmdb(tmp_path, monkeypatch):
    (tmp_path / "data.mdb").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "lmdb", None)  # as if it were not installed
    with pytest.raises(UserError, match="pip install lmdb"), open_images(tmp_path):
        pass
    stored = {b"k1": png(), b"k2": png((1, 2, 3))}
    txn = types.SimpleNamespace(cursor=lambda: types.SimpleNamespace(iternext=lambda **_: iter(stored)), get=stored.get)
    env = types.SimpleNamespace(begin=lambda **_: txn, close=lambda: None)
    monkeypatch.setitem(sys.modules, "lmdb", types.SimpleNamespace(open=lambda *_, **__: env))
    assert contents(tmp_path) == {"k1": png(), "k2": png((1, 2, 3))}
    path = zip_of(tmp_path / "church.zip", {"church/data.mdb": b"x"})
    with pytest.raises(UserError, match="unzip it"), open_images(path):
        pass


def test_safe_name():
    assert safe_name("a/./b//c.png") == "a/b/c.png"
    assert safe_name("../人物/猫.png") == "人物/猫.png"
    assert safe_name("\udce4.png") == "?.png"


# -------------------------------------------------------------------------------------------------------------- idx


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_idx(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    (tmp_path / "raw").write_bytes(idx(images))
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(images)))
    np.testing.assert_array_equal(read_idx(tmp_path / "raw"), images)
    np.testing.assert_array_equal(read_idx(tmp_path / "x.gz"), images)
    wrong = {
        "short": idx(images)[:-1],
        "long": idx(images) + b"x",
        "header": idx(images)[:10],
        "nothing": b"",
        "magic": b"\0\0\x0d" + idx(images)[3:],
        "cut.gz": gzip.compress(idx(images))[:-12],
        "plain.gz": idx(images),
    }
    for name, data in wrong.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=name) as caught:
            read_idx(tmp_path / name)
        assert "\n" not in str(caught.value)
