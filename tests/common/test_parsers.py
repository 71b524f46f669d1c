"""The parser of all scripts: --resume RUN_DIR takes the flags of a run, and a similar choice is named."""

import argparse

import pytest

from common.cli import apply_preset, parser
from common.errors import UserError
from common.files import write_json
from common.flag_types import float_in
from common.parsers import refuse

PRESETS = {"smoke": {"size": 32, "steps": 5, "lam": 0.5}, "quick": {"size": 64, "steps": 50, "lam": 0.5}}
FLAGS = {
    "preset": "smoke", "dataset": "mnist", "size": 32, "steps": 5, "epochs": None, "lam": 2.0, "flip": False,
    "deep": True, "sizes": [1, 2], "loss": "rsgan", "seed": 3, "out": "old", "variant": "any-name", "resume": False,
}  # fmt: skip


def make_parser():
    p = parser("test", PRESETS, toys=True)
    p.add_argument("--lam", type=float_in(0, 9))
    p.add_argument("--deep", action="store_true")
    p.add_argument("--flip", action=argparse.BooleanOptionalAction)
    p.add_argument("--sizes", type=int, nargs="+")
    p.add_argument("--loss", choices=["sgan", "rsgan"])
    return p


@pytest.fixture
def run_dir(tmp_path):
    write_json(tmp_path / "renamed/config.json", {"flags": FLAGS})
    return str(tmp_path / "renamed")


def resume(run_dir, *flags):
    return apply_preset(make_parser().parse_args(["--resume", run_dir, *flags]), make_parser(), PRESETS)


def test_a_named_run_gives_its_flags(run_dir):
    args = vars(resume(run_dir, "--steps", "9", "--lam", "2", "--loss", "rsgan"))
    assert {flag: args[flag] for flag in FLAGS} == FLAGS | {"resume": run_dir, "steps": 9}
    assert vars(resume(run_dir, "--epochs", "2"))["steps"] is None, "they follow from the epochs"


def test_a_named_run_of_points_has_no_size(tmp_path):
    write_json(tmp_path / "config.json", {"flags": FLAGS | {"dataset": "8gaussians", "size": 2}})
    args = resume(str(tmp_path))
    assert (args.dataset, args.variant) == ("8gaussians", "any-name")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lam", "0.5"], "argument --lam: {run_dir} was started with 2.0, not 0.5"),
        (["--preset", "quick"], "argument --preset: {run_dir} was started with smoke, not quick"),
        (["--dataset", "toy_faces"], "argument --dataset: {run_dir} was started with mnist, not toy_faces"),
        (["--flip"], "argument --flip: {run_dir} was started with False, not True"),
        (["--out", "runs"], "argument --out: leave it out"),
    ],
)
def test_a_flag_that_contradicts_the_run_is_refused_by_name(run_dir, flags, message, capsys):
    with pytest.raises(SystemExit):
        resume(run_dir, *flags)
    error = capsys.readouterr().err
    assert message.format(run_dir=run_dir) in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is damaged"),
        ({"flags": 3}, "is damaged"),
        ({"flags": {}}, "is damaged"),
        ({"flags": FLAGS | {"lam": "x"}}, "argument --lam: 'x' is not a number from 0 to 9 (as "),
        ({"flags": FLAGS | {"loss": "wgan"}}, "argument --loss: invalid choice: 'wgan'"),
        ({"flags": FLAGS | {"levels": 2}}, "has the flag --levels: use the script it names"),
    ],
)
def test_a_damaged_or_other_run_is_one_line(tmp_path, content, message, capsys):
    write_json(tmp_path / "config.json", content)
    with pytest.raises(SystemExit):
        resume(str(tmp_path))
    error = capsys.readouterr().err
    assert message in error and str(tmp_path) in error and error.count("\n") == 1


def test_a_similar_choice_is_named(capsys):
    for flags, hint in ((["--loss", "rsgam"], "did you mean rsgan?"), (["--preset", "Smoke"], "did you mean smoke?")):
        with pytest.raises(SystemExit):
            make_parser().parse_args(flags)
        assert hint in capsys.readouterr().err
    with pytest.raises(SystemExit):
        make_parser().parse_args(["--loss", "x"])
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(("value", "name"), [(3, "--my-flag"), (False, "--no-my-flag"), (0, "--my-flag")])
def test_a_flag_without_effect_is_refused_but_not_of_a_run_that_goes_on(value, name):
    args = argparse.Namespace(resume=False, my_flag=value, other=None)
    with pytest.raises(UserError, match=f"^{name} is for images: omit it$"):
        refuse(args, ["other", "my_flag"], "is for images")
    refuse(args, ["other"], "is for images")
    refuse(argparse.Namespace(resume="runs/x", my_flag=value), ["my_flag"], "is for images")
