"""`python -m common.data PHOTOS`: what would be used, what is left out, how long it takes, what to run next."""

import shlex
import subprocess

import imageio.v3 as iio
import pytest

from common.data import __main__ as command
from common.data import images
from common.errors import UserError
from ogan import train
from tests.helpers.datasets import fill, solid_png
from tests.helpers.scripts import error_line

MEMBERS = {f"{i:02d}.png": solid_png((200, i, 9), (20 + i, 30)) for i in range(69)}
BAD = {"a.png": b"", "b.png": b"<html>", "c.png": b"<html>", "d.psd": b"x"}


def run(photos, tmp_path, *flags):
    command.run(command.make_parser().parse_args([str(photos), "--out", str(tmp_path / "out"), *flags]))


@pytest.mark.parametrize("name", ["my photos", "photos.zip"])
def test_it_says_what_is_used_and_what_to_run(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(command, "seconds_per_step", lambda *_: 0.3)
    photos = fill(tmp_path / name, MEMBERS | BAD)
    run(photos, tmp_path)
    out = capsys.readouterr().out
    n = len(images.load_images(f"folder:{photos}", 32).array)
    assert f"photos: 73, of which 69 are used: {n} to train on, {69 - n} held out to measure" in out
    assert "pixels: smallest 30 x 20, median 30 x 54, largest 30 x 88; colour" in out
    reasons = [line for line in out.splitlines() if line.startswith("left out, ")]
    assert reasons[0] == "left out, 2: not an image, for example b.png" and len(reasons) == 3
    assert f"enough? {n} photos are too few" in out and "about 20 minutes here for 4000 steps" in out
    (sheet,) = (tmp_path / "out/photos").glob("*.png")
    assert str(sheet) in out and iio.imread(sheet).shape[:2] == (512 + 36, 512 + 16)  # with a title
    (line,) = [line for line in out.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    assert words[:2] == ["python", "ogan/train.py"]
    args = train.make_parser().parse_args(words[2:])
    assert args.dataset == f"folder:{photos}" and args.crop == "square" and args.preset == "quick"
    quick = train.PRESETS["quick"]
    assert (quick["size"], quick["batch_size"], quick["steps"]) == (command.SIZE, command.BATCH, command.STEPS)


def test_few_photos_get_a_smaller_batch_and_the_crop_is_passed_on():
    assert command.train_command("folder:x", "square", 64) == [
        "ogan/train.py",
        *["--dataset", "folder:x", "--preset", "quick"],
    ]
    assert command.train_command("folder:x", "face", 63)[5:] == ["--crop", "face", "--batch-size", "63"]
    assert len({command.advice(n).split(":")[0] for n in (1, 299, 300, 5999, 6000)}) == 3


def test_the_time_of_a_step_is_that_of_a_short_training(monkeypatch):
    def short_training(words, **_):
        folder = command.Path(words[words.index("--out") + 1])
        (folder / "log.csv").write_text("step,seconds\n10,9.0\n20,11.0\n30,13.0\n40,15.0\n")
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(command.subprocess, "run", short_training)
    assert command.seconds_per_step(["ogan/train.py"], 64) == pytest.approx(0.2)
    failed = subprocess.CompletedProcess([], 2, stderr="a warning\ntrain.py: error: why\n")
    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UserError, match=r"the short training failed: train\.py: error: why"):
        command.seconds_per_step(["ogan/train.py"], 64)


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path):
    line = error_line("common/data/__main__.py", fill(tmp_path / "photos", BAD), "--out", tmp_path)
    assert "mostly unreadable" in line and not (tmp_path / "photos/photos").exists()
