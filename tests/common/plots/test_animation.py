"""The animation of a training: which pictures become frames, and which are left out and named."""

import os

import imageio.v3 as iio
import numpy as np
import pytest

from common.plots import animation
from common.plots.animation import evenly_spaced, save_training_gif

STEPS = (0, 750, 12_000)


def write_pictures(folder, levels, size=(8, 8), mode=None):
    """Write a picture of each grey level, as a training does, and return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"step-{i:07d}.png" for i in range(len(levels))]
    for path, level in zip(paths, levels, strict=True):
        iio.imwrite(path, np.full(size if mode == "L" else (*size, 3), level, "uint8"))
    return paths


def levels_of(gif):
    """Return the grey level of each frame."""
    return [int(frame[:8, :8].mean()) for frame in iio.imread(gif, index=None)]


@pytest.mark.parametrize(("n", "most"), [(1, 60), (2, 2), (60, 60), (61, 60), (1000, 60), (7, 3)])
def test_frames_are_evenly_spaced_with_both_ends(n, most):
    chosen = evenly_spaced(list(range(n)), most)
    assert len(chosen) == min(n, most) == len(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, n - 1)
    if len(chosen) > 1:
        assert np.ptp(np.diff(chosen)) <= 1


def test_a_long_training_is_thinned(tmp_path):
    pictures = write_pictures(tmp_path, range(200))
    assert save_training_gif(tmp_path / "a.gif", pictures) == 60
    assert levels_of(tmp_path / "a.gif") == evenly_spaced(list(range(200)), 60)


def test_grey_pictures_keep_all_their_levels(tmp_path):
    path = tmp_path / "step-0000000.png"
    iio.imwrite(path, np.arange(256, dtype="uint8").reshape(16, 16))
    save_training_gif(tmp_path / "a.gif", [path])
    with animation.Image.open(tmp_path / "a.gif") as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L"))[:16, :16].reshape(-1), np.arange(256))


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_frame_tells_its_step(tmp_path, mode):
    """Below the picture stands the caption that `with_caption` draws, which differs from step to step."""
    pictures = write_pictures(tmp_path, [10, 200, 30], size=(8, 120), mode=mode)
    pictures = [path.rename(path.with_name(f"step-{step:07d}.png")) for path, step in zip(pictures, STEPS, strict=True)]
    save_training_gif(tmp_path / "a.gif", pictures)
    frames = iio.imread(tmp_path / "a.gif", index=None, mode="L")
    strips = [frame[8:] for frame in frames]
    for strip, step in zip(strips, STEPS, strict=True):
        expected = animation.with_caption(np.zeros((8, 120), "uint8"), f"step {step:,}")[8:]
        assert np.abs(strip.astype(int) - expected).max() < 30 and strip.min() < 60
    assert not np.array_equal(strips[0], strips[1]) and not np.array_equal(strips[1], strips[2])


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-30])


def foreign(path):
    path.write_text("no picture")


def smaller(path):
    iio.imwrite(path, np.zeros((4, 4, 3), "uint8"))


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def link_to_nothing(path):
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize("damage", [empty, cut, foreign, smaller, folder, pipe, link_to_nothing])
@pytest.mark.parametrize("index", [0, 3, 9])
def test_a_damaged_picture_is_left_out_and_named(tmp_path, capsys, damage, index):
    pictures = write_pictures(tmp_path, range(0, 100, 10))
    damage(pictures[index])
    assert save_training_gif(tmp_path / "a.gif", pictures) == 9
    assert levels_of(tmp_path / "a.gif") == [level for level in range(0, 100, 10) if level != 10 * index]
    output = capsys.readouterr().out
    assert output.count("\n") == 1 and f"without step-{index:07d}.png: damaged" in output


def test_a_picture_of_another_kind_becomes_a_frame(tmp_path, capsys):
    """Grey, transparent and 16-bit pictures of the right size can be shown."""
    pictures = write_pictures(tmp_path, [10, 20, 30, 40])
    iio.imwrite(pictures[1], np.full((8, 8), 20, "uint8"))
    iio.imwrite(pictures[2], np.full((8, 8, 4), 30, "uint8"))
    save_training_gif(tmp_path / "a.gif", pictures)
    assert levels_of(tmp_path / "a.gif") == [10, 20, 30, 40] and capsys.readouterr().out == ""


def test_the_ends_are_the_last_good_pictures_of_a_long_training(tmp_path, capsys):
    pictures = write_pictures(tmp_path, range(100))
    for i in (0, 1, 50, 98, 99):
        cut(pictures[i])
    assert save_training_gif(tmp_path / "a.gif", pictures, max_frames=5) == 5
    levels = levels_of(tmp_path / "a.gif")
    assert (levels[0], levels[-1]) == (2, 97) and np.ptp(np.diff(levels)) <= 2
    assert "step-0000000.png" in capsys.readouterr().out


def test_many_damaged_pictures_are_counted(tmp_path, capsys):
    pictures = write_pictures(tmp_path, range(10))
    for path in pictures[:6]:
        empty(path)
    save_training_gif(tmp_path / "a.gif", pictures)
    names = "step-0000000.png, step-0000001.png, step-0000002.png and 3 others"
    assert f"without {names}: damaged" in capsys.readouterr().out


@pytest.mark.parametrize("n", [0, 3])
def test_without_good_pictures_there_is_no_gif(tmp_path, capsys, n):
    pictures = write_pictures(tmp_path, range(n))
    for path in pictures:
        empty(path)
    assert save_training_gif(tmp_path / "a.gif", pictures) == 0
    assert not (tmp_path / "a.gif").exists() and capsys.readouterr().out.count("\n") == (n > 0)
