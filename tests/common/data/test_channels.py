"""The number of channels: grey folders have one, and the user may choose."""

import numpy as np
import pytest
from PIL import Image

from common.data import jobs
from common.data.decoding import BadImage, is_grey
from common.data.images import load_images
from tests.helpers.datasets import digits, encode, fill, solid_png, write_idx, write_tar

GREY_PALETTE = Image.new("P", (8, 8), 1)
GREY_PALETTE.putpalette([0, 0, 0, 90, 90, 90])
GREYS = {
    "l.png": encode(Image.new("L", (8, 8), 90)),
    "rgb.png": solid_png(90),
    "rgb.jpg": encode(np.full((8, 8, 3), 90, np.uint8), "JPEG"),
    "la.png": encode(Image.new("LA", (8, 8), (90, 255))),
    "rgba.png": encode(Image.new("RGBA", (8, 8), (90, 90, 90, 255))),
    "palette.png": encode(GREY_PALETTE),
    "deep.png": encode(np.full((8, 8), 90 * 257, np.uint16)),
    "bilevel.png": encode(Image.new("1", (8, 8), 1)),
    "hidden colour.png": encode(Image.new("RGBA", (8, 8), (200, 0, 0, 0))),  # white, since it is transparent
}
ALMOST = np.full((40, 40, 3), 90, np.uint8)
ALMOST[39, 39, 2] = 91
COLOURS = {
    "one pixel.png": encode(ALMOST),
    "cmyk.jpg": encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"),
    "palette.png": encode(Image.new("RGB", (8, 8), (9, 8, 7)).quantize(2)),
}


def test_is_grey_looks_at_the_pixels_whatever_the_file_stores():
    assert {name: is_grey(data) for name, data in GREYS.items()} == dict.fromkeys(GREYS, True)
    assert {name: is_grey(data) for name, data in COLOURS.items()} == dict.fromkeys(COLOURS, False)
    with pytest.raises(BadImage, match="not an image"):
        is_grey(b"<html>")


@pytest.mark.parametrize("kind", ["folder", "zip", "tar.gz"])
@pytest.mark.parametrize("colour", [None, *COLOURS])
def test_a_source_has_one_channel_if_all_its_images_are_grey(tmp_path, kind, colour):
    members = {f"{i}/{name}": data for i in range(4) for name, data in GREYS.items()} | {"9/broken.png": b"x"}
    if colour:
        members[f"9/{colour}"] = COLOURS[colour]
    source = tmp_path / (kind if kind == "folder" else f"images.{kind}")
    (write_tar if kind == "tar.gz" else fill)(source, members)
    for kwargs in (dict(split="train"), dict(split="test"), dict(split="all"), dict(limit=2)):
        array = load_images(f"folder:{source}", 8, **kwargs).array
        assert array.shape[1:] == (8, 8, 3 if colour else 1)
        first = array[0, 0, 0]
        assert (first == first[0]).all()


def test_the_number_of_channels_can_be_chosen(tmp_path):
    source = fill(tmp_path / "grey", {f"{i}.png": solid_png(i) for i in range(10)})
    rgb, grey = (load_images(f"folder:{source}", 8, "all", channels=c).array for c in (3, 1))
    assert rgb.shape == (10, 8, 8, 3) and grey.shape == (10, 8, 8, 1) and (rgb == grey).all()
    red = fill(tmp_path / "red", {f"{i}.png": solid_png((200, 30, 40)) for i in range(10)})
    luma = load_images(f"folder:{red}", 8, "all", channels=1).array
    assert luma.shape == (10, 8, 8, 1) and (luma == round(0.299 * 200 + 0.587 * 30 + 0.114 * 40)).all()


def test_named_data_sets_keep_their_channels_unless_another_number_is_chosen(tmp_path):
    fill(tmp_path / "ffhq", {f"{i}.png": solid_png(i) for i in range(4)})  # all grey
    assert load_images("ffhq", 8, data_dir=tmp_path).array.shape[1:] == (8, 8, 3)
    assert load_images("ffhq", 8, data_dir=tmp_path, channels=1).array.shape[1:] == (8, 8, 1)
    write_idx(tmp_path / "mnist", digits(9), digits(9, 1))
    grey, rgb = (load_images("mnist", 32, data_dir=tmp_path, channels=c).array for c in (None, 3))
    assert rgb.shape == (9, 32, 32, 3) and (rgb == grey).all()
    assert load_images("toy_faces", limit=3, channels=1).array.shape == (3, 32, 32, 1)
    assert load_images("toy_faces", limit=3).array.shape == (3, 32, 32, 3)


def test_a_grey_source_is_looked_through_once_and_a_coloured_one_only_to_its_first_colour(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(jobs, "is_grey", lambda data: calls.append(data) or is_grey(data))
    grey = fill(tmp_path / "grey", {f"{i}.png": solid_png(i) for i in range(30)})
    for split in ("train", "test", "all"):
        load_images(f"folder:{grey}", 8, split)
    assert len(calls) == 30
    calls.clear()
    load_images(f"folder:{fill(tmp_path / 'red', {f'{i:03d}.png': solid_png((i, 0, 0)) for i in range(1, 99)})}", 8)
    assert len(calls) < 40
