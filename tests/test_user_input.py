"""Every path, name and number that a user can type wrongly gets one line and exit code 2, in every script."""

import argparse
import importlib
import os
import re
import socket

import imageio.v3 as iio
import numpy as np
import pytest

from common import cli, flag_types
from common.flag_types import FloatRange, IntRange
from common.reproduce.new_article import article_name
from tests.helpers.scripts import ROOT, unknown_flags

MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for pattern in ("*/*.py", "common/*/*.py")
    for path in ROOT.glob(pattern)
    if path.relative_to(ROOT).parts[0] != "tests"
    and re.search(r"^    main\(run, make_parser\(", path.read_text(), re.M)
)
TEXT = [
    "", " ", "abc", "-", "nan", "inf", "-inf", "1e400", "１２", "0x10", "1_000", "1,5", "1\n2", "9" * 5000, "\udcff",
]  # fmt: skip
NOT_PATHS = ["", "  ", "\udcff", "~nosuchuser/x", "x" * 5000, "y/" * 2500, "a\0b"]


def flags_of(module):
    """Return the parser of a script and its flags that take a value."""
    parser = importlib.import_module(module).make_parser()
    return parser, [action for action in parser._actions if action.nargs != 0]


def error_of(function, capsys, begins=False, module=None):
    """Return the line of a call that must exit with code 2 and print one line to stderr.

    It must print none to stdout, or with `begins` the one that says what will be trained. It must name no flag that
    the script `module` does not have.
    """
    with pytest.raises(SystemExit) as stop:
        function()
    printed = capsys.readouterr()
    assert stop.value.code == 2, printed.err
    assert printed.err.count("\n") == 1 and printed.err.endswith("\n"), printed
    assert not printed.out or (begins and re.fullmatch(r"training .* it writes to .*\n", printed.out)), printed
    assert len(printed.err) < 2200 and "Traceback" not in printed.err
    assert module is None or not unknown_flags(module, printed.err), printed.err
    return printed.err


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Paths of a folder in which every entry is a wrong input of some kind."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "notes.txt").write_text("no image")
    (folder / "picture.png").write_bytes(b"no image")
    (folder / "x.zip").mkdir()
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.zip")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    return folder


def files_that_are_no_folder(places):
    names = ("notes.txt", "picture.png", "pipe", "pipe.zip", "loop", "dangling", "socket", "notes.txt/below")
    return [*(str(places / name) for name in names), "/dev/null", "/dev/zero"]


def wrong_values(action, places):
    """Return values that a flag must refuse, by its type and choices."""
    kind, choices = action.type, action.choices
    if isinstance(kind, IntRange) and not choices:
        return [*TEXT, "1.5", "-1", "+5", "1e3", str(kind.low - 1), str(kind.high + 1), "99999999999"]
    if isinstance(kind, FloatRange):
        return [*TEXT, repr(kind.low - 1), repr(2 * kind.high + 1), "99999999999"]
    if choices:
        return ["", " ", "no-such-choice", f"{next(iter(choices))}x", f" {next(iter(choices))}", "４", "\udcff"]
    if kind is article_name:
        taken = ["rsgan", "common", "class", "random", "keras", "runs"]
        return [*NOT_PATHS, *taken, "１２", "1,5", "1\n2", "My_gan", "_gan", "gan-2", "x" * 31]
    if kind is flag_types.nonempty:
        return ["", " ", ",", " , "]
    if kind is flag_types.part:
        return [*TEXT, "2", "1/", "/2", "0/3", "4/3", "1/0", "1/2/3", "１/２", " 1/2", "1/99999"]
    kind = getattr(kind, "func", kind)
    no_folder = files_that_are_no_folder(places)
    if kind is flag_types.output_folder:
        return [*NOT_PATHS, *no_folder]
    missing = [str(places / "missing"), str(places / "missing/below")]
    if kind in (flag_types.script_path, flag_types.run_folder):
        return [*NOT_PATHS, *no_folder, *missing, str(places)]
    if kind is flag_types.file_path:
        return [*NOT_PATHS, *(path for path in no_folder if not os.path.isfile(path)), *missing, str(places)]
    if kind in (flag_types.existing_folder, flag_types.trained_run, flag_types.data_folder, flag_types.images_path):
        return [*NOT_PATHS, *no_folder, *missing]
    if kind is flag_types.text_dataset:
        no_text = [*NOT_PATHS, *missing, str(places / "pipe"), "/dev/null"]
        paths = [prefix + path for prefix in ("text:", "spectra:") for path in no_text]
        return [*paths, "", "coupletx", "Couplet", "text", "Text:x", "text :x", str(places), "\udcff", "a\nb"]
    if kind is flag_types.dataset:
        paths = [f"folder:{path}" for path in [*NOT_PATHS, *no_folder, *missing]]
        return [*paths, "", "mnits", "MNIST", "folder", "Folder:x", "folder :x", str(places), "\udcff", "a\nb"]
    assert kind is flag_types.image_size, f"{action.dest} takes unchecked text"
    return [*TEXT, "0", "-1", "33", "65536", "32.0"]


def test_all_scripts_are_here():
    assert {"ogan.train", "energy_gan.sample", "common.reproduce.__main__", "common.reproduce.report"} <= set(MODULES)
    assert len(MODULES) >= 28


@pytest.mark.parametrize("module", MODULES)
def test_wrong_value_of_any_flag_is_one_line(module, places, capsys):
    parser, actions = flags_of(module)
    for required in actions:
        required.required = False
    count = 0
    for action in actions:
        if module.startswith("common.reproduce") and action.dest == "out":
            continue  # below: these check it when they run
        for value in wrong_values(action, places):
            argument = f"{action.option_strings[-1]}={value}" if action.option_strings else value
            error = error_of(lambda argument=argument: parser.parse_args([argument]), capsys)
            name = "/".join(action.option_strings) or action.metavar
            assert f"argument {name}: " in error, (argument, error)
            count += 1
    assert count > 5 or module.startswith("common.reproduce")


@pytest.mark.parametrize("module", MODULES)
def test_unknown_flags_and_switches_with_a_value_are_one_line(module, capsys, monkeypatch):
    parser, _ = flags_of(module)
    for argument in ["--resume=yes"] if any(a.dest == "resume" for a in parser._actions) else []:
        assert "'yes' does not exist" in error_of(lambda a=argument: parser.parse_args([a]), capsys)
    for action in parser._actions:
        action.required = False
    if "forward_unknown" not in (ROOT / f"{module.replace('.', '/')}.py").read_text():
        monkeypatch.setattr("sys.argv", ["script.py", "--no-such\n-flag"])
        assert "unrecognized arguments: --no-such -flag" in error_of(lambda: cli.main(None, parser), capsys)


def test_folder_of_another_user_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(tmp_path))
    for text in (str(tmp_path), f"folder:{tmp_path}"):
        kind = flag_types.dataset if text.startswith("folder:") else flag_types.existing_folder
        with pytest.raises(argparse.ArgumentTypeError, match="cannot be read: Permission denied"):
            kind(text)
    with pytest.raises(argparse.ArgumentTypeError, match=r"cannot be made in .*: Permission denied"):
        flag_types.output_folder(f"{tmp_path}/new/runs")


def test_folder_is_gone_that_relative_paths_start_from(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with pytest.raises(argparse.ArgumentTypeError, match="the current folder does not exist"):
        flag_types.output_folder("runs")
    assert flag_types.output_folder(str(tmp_path)) == str(tmp_path)


def test_good_paths_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~odd").mkdir()
    (tmp_path / "图片 1.zip").touch()
    (tmp_path / "link").symlink_to("~odd")
    for text in ("runs", "a/b/c", ".", "..", str(tmp_path), "~odd", "数据"):
        assert flag_types.output_folder(text) == text
    assert flag_types.output_folder("~/runs") == f"{tmp_path}/runs"
    for text in (".", "link", "~odd", str(tmp_path)):
        assert flag_types.existing_folder(text) == flag_types.images_path(text) == text
    assert flag_types.existing_folder("~") == str(tmp_path)
    iio.imwrite("me.png", np.zeros((16, 16, 3), "uint8"))
    for text in ("图片 1.zip", "me.png", "link"):
        assert flag_types.images_path(text) == flag_types.images_path(f"folder:{text}") == text
    (tmp_path / "mnist.npz").touch()
    for text in ("mnist.npz", "link", "."):
        assert flag_types.data_folder(text) == text
    for text in ("folder:~", "folder:图片 1.zip", "mnist"):
        assert flag_types.dataset(text) == text


# the scripts that train on --dataset: a folder without images is found when it is read
TRAINERS = [
    m for m in MODULES
    if m.endswith(("train", "glow", "nice", "realnvp", "fgan.estimate"))
    and "--dataset" in importlib.import_module(m).make_parser()._option_string_actions
]  # fmt: skip


@pytest.fixture(scope="module")
def image_folders(tmp_path_factory):
    """Folders that no script can train on."""
    parent = tmp_path_factory.mktemp("folders")
    for name in ("empty", "text", "broken", "one"):
        (parent / name).mkdir()
    (parent / "text/notes.txt").write_text("no image")
    (parent / "broken/0.png").write_bytes(b"no image")
    (parent / "broken.zip").write_bytes(b"no archive")
    (parent / "empty.zip").write_bytes(b"")
    iio.imwrite(parent / "one/0.png", np.zeros((16, 16, 3), "uint8"))
    return [f"folder:{parent / name}" for name in ("empty", "text", "broken", "broken.zip", "empty.zip")]


@pytest.mark.parametrize("module", TRAINERS)
def test_folder_without_images_is_one_line_before_the_training(module, image_folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr("keras.Model.fit", lambda *args, **kwargs: pytest.fail("a training began"))
    script = importlib.import_module(module)
    for folder in image_folders:
        flags = ["--preset", "smoke", "--dataset", folder, "--out", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", ["script.py", *flags])
        error_of(lambda: cli.main(script.run, script.make_parser()), capsys, begins=True, module=module)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("module", ["common.reproduce.__main__", "common.reproduce.report"])
def test_wrong_out_of_the_reproduction_is_one_line(module, places, capsys, monkeypatch):
    script = importlib.import_module(module)
    monkeypatch.chdir(places)
    for value in [*NOT_PATHS[:-1], *files_that_are_no_folder(places)]:
        monkeypatch.setattr("sys.argv", ["script.py", f"--out={value}"])
        error_of(lambda: cli.main(script.run, script.make_parser(), backend_needed=False), capsys)


@pytest.mark.parametrize("module", ["ogan.reconstruct", "energy_gan.sample"])
def test_folder_that_is_no_run_is_one_line(module, tmp_path, capsys, monkeypatch):
    script = importlib.import_module(module)
    flags = [str(tmp_path)] if module == "energy_gan.sample" else ["--run", str(tmp_path), "--images", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["script.py", *flags])
    assert "config.json" in error_of(lambda: cli.main(script.run, script.make_parser()), capsys, module=module)


RUNNERS = {
    "common.experiments.gan": ("rsgan.train", "8gaussians"),
    "ogan.experiment": ("ogan.train", "toy_faces"),
    "flow.training.run_images": ("flow.nice", "toy_faces"),
    "flow.training.run_plane": ("flow.realnvp", "two_moons"),
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_network_that_fails_after_the_training_is_told_with_the_step(runner, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    module, dataset = RUNNERS[runner]

    def diverge(trainer, *args, **kwargs):
        for variable in trainer.trainable_variables:
            variable.assign(variable * float("nan"))
        return []

    monkeypatch.setattr(f"{runner}.train", diverge)
    flags = ["--preset", "smoke", "--dataset", dataset, "--steps", "7", "--out", str(tmp_path / "runs")]
    flags += ["--ema", "0"] if module == "flow.realnvp" else []  # without averages, which would be measured
    monkeypatch.setattr("sys.argv", ["script.py", *flags])
    script = importlib.import_module(module)
    with pytest.raises(SystemExit):
        cli.main(script.run, script.make_parser())
    line = capsys.readouterr().err
    assert "error: after step 7: the weight" in line and "has diverged" in line and line.count("\n") == 1
    assert not unknown_flags(module, line)
