"""Flags: presets, names, and one line for every wrong value."""

import pytest

from common.cli import apply_preset, main, parser
from common.data.toy_2d import TOYS
from common.errors import UserError
from ogan import train

PRESETS = {"smoke": {"size": 32, "steps": 5, "lam": 0.5}, "quick": {"size": 64, "steps": 50, "lam": 0.5}}


def make_parser():
    p = parser("test", PRESETS)
    p.add_argument("--lam", type=float)
    p.add_argument("--deep", action="store_true")
    return p


def parsed(*words):
    return apply_preset(make_parser().parse_args(["--preset", "smoke", *words]), make_parser(), PRESETS)


def test_flags_left_out_come_from_the_preset_and_given_ones_stay():
    args = parsed("--size", "128")
    assert (args.size, args.steps, args.lam, args.seed) == (128, 5, 0.5, 0)


def test_epochs_take_the_place_of_the_presets_steps():
    args = parsed("--epochs", "2")
    assert (args.epochs, args.steps) == (2, None)


def test_preset_is_quick_without_an_accelerator(monkeypatch):
    from common import backend

    monkeypatch.setattr(backend, "accelerators", lambda: 0)
    assert apply_preset(make_parser().parse_args([]), make_parser(), PRESETS).preset == "quick"
    monkeypatch.setattr(backend, "accelerators", lambda: 1)
    with pytest.raises(KeyError, match="paper"):
        apply_preset(make_parser().parse_args([]), make_parser(), PRESETS)


@pytest.mark.parametrize(
    ("words", "variant"),
    [
        ([], "smoke"),
        (["--lam", "0.5", "--steps", "7", "--seed", "3"], "smoke"),
        (["--lam", "1", "--deep"], "smoke-lam-1.0-deep"),
        (["--batch-size", "9"], "smoke-batch-size-9"),
    ],
)
def test_a_runs_name_tells_what_departs_from_the_preset(words, variant):
    assert parsed(*words).variant == variant


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dataset", "imagenet"], "not one of celeba, .*folder:PATH"),
        (["--dataset", "folder:"], "not one of"),
        (["--preset", "huge"], "choose from"),
        (["--size", "33"], "'33' is not one of 16, 32, 64, 128, 256, 512"),
        (["--batch-size", "0"], "whole number of at least 1"),
        (["--batch-size", "8.5"], "whole number of at least 1"),
        (["--steps", "-3"], "whole number of at least 1"),
        (["--steps", "3", "--epochs", "1"], "not allowed with"),
        (["--seed", "-1"], "whole number of at least 0"),
        (["--lam", "nan"], "not a number from 0 to 1000"),
        (["--lam", "much"], "not a number from 0 to 1000"),
        (["--ema", "1"], "not a number from 0 to 0.99999"),
        (["--learning-rate", "0"], "not a number"),
        (["--kernel-size", "3"], "choose from"),
        (["--latent-loss", "l1"], "choose from"),
        (["--gan", "vgan"], "choose from"),
        (["--mixed-precision", "float8"], "choose from"),
        (["--n-d", "0"], "whole number"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(words, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", *words])
    with pytest.raises(SystemExit) as stop:
        main(train.run, train.make_parser())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    import re

    assert re.search(message, error), error


def test_toys_are_data_sets_only_where_a_script_asks_for_them(capsys):
    with_toys, without = parser("test", PRESETS, toys=True), parser("test", PRESETS)
    for name in (*TOYS, "toy_faces", "folder:here"):
        assert with_toys.parse_args(["--dataset", name]).dataset == name
    assert with_toys.parse_args([]).dataset == "toy_faces"
    assert parser("test", PRESETS, "8gaussians", toys=True).parse_args([]).dataset == "8gaussians"
    for p, wrong, listed in ((with_toys, "9gaussians", True), (without, "8gaussians", False)):
        with pytest.raises(SystemExit) as stop:
            p.parse_args(["--dataset", wrong])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert f"'{wrong}' is not one of celeba, " in error
        assert error.count("\n") == 1
        for text in (error.replace(wrong, ""), p.format_help()):
            assert [name in text for name in TOYS] == [listed] * len(TOYS)


def test_an_error_of_the_users_is_one_line_and_a_ctrl_c_is_130(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py"])

    def fail(args):
        raise UserError("put the file there")

    def stop(args):
        raise KeyboardInterrupt("stopped at step 3")

    for body, code, line in ((fail, 2, "error: put the file there\n"), (stop, 130, "stopped at step 3\n")):
        with pytest.raises(SystemExit) as end:
            main(body, make_parser())
        assert end.value.code == code
        assert capsys.readouterr().err.endswith(line)
