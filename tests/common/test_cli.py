"""Command-line flags: presets, run names, and one-line errors."""

import argparse
import importlib
import re
from pathlib import Path

import pytest

from common.cli import apply_preset, default_features, gan_parser, main, parser
from common.data.toy_2d import TOYS
from common.errors import UserError, one_line
from ogan import train
from tests.helpers.scripts import ROOT, unknown_flags

PRESETS = {"smoke": {"size": 32, "steps": 5, "lam": 0.5}, "quick": {"size": 64, "steps": 50, "lam": 0.5}}


def make_parser():
    p = parser("test", PRESETS)
    p.add_argument("--lam", type=float)
    p.add_argument("--deep", action="store_true")
    p.add_argument("--kinds", nargs="+")
    return p


def parsed(*flags):
    return apply_preset(make_parser().parse_args(["--preset", "smoke", *flags]), make_parser(), PRESETS)


def test_preset_fills_only_the_flags_that_are_left_out():
    args = parsed("--size", "128")
    assert (args.size, args.steps, args.lam, args.seed) == (128, 5, 0.5, 0)


def test_epochs_replace_the_steps_of_the_preset():
    args = parsed("--epochs", "2")
    assert (args.epochs, args.steps) == (2, None)


def test_derived_defaults_see_the_preset_and_fill_only_what_is_left():
    args = make_parser().parse_args(["--preset", "smoke", "--lam", "2"])
    apply_preset(args, make_parser(), {"smoke": {"size": 32}}, steps=lambda args: 10 * args.size, lam=lambda args: 7)
    assert (args.steps, args.lam, args.variant) == (320, 2, "smoke-lam-2.0")


def test_digits_and_garments_are_measured_with_the_classifier():
    def default(name):
        return default_features(argparse.Namespace(dataset=name))

    for name in ("mnist", "fashion_mnist", "stacked_mnist", "stacked_mnist_2"):
        assert default(name) == "classifier"
    for name in ("cifar10", "lfw", "toy_faces", "folder:x"):
        assert default(name) == "pixels"
    for name in TOYS:
        assert default(name) is None


@pytest.mark.parametrize(("accelerators", "preset", "size"), [(0, "quick", 64), (1, "paper", 128), (8, "paper", 128)])
def test_default_preset_is_paper_on_an_accelerator_and_quick_elsewhere(monkeypatch, accelerators, preset, size):
    monkeypatch.setattr("common.backend.accelerators", lambda: accelerators)
    presets = PRESETS | {"paper": {"size": 128, "steps": 500, "lam": 0.5}}
    args = apply_preset(make_parser().parse_args([]), make_parser(), presets)
    assert (args.preset, args.variant, args.size, args.steps) == (preset, preset, size, presets[preset]["steps"])


def test_given_preset_is_used_on_an_accelerator_too(monkeypatch):
    monkeypatch.setattr("common.backend.accelerators", lambda: 1)
    args = parsed()
    assert (args.preset, args.size) == ("smoke", 32)


@pytest.mark.parametrize(
    ("flags", "variant"),
    [
        ([], "smoke"),
        (["--lam", "0.5", "--steps", "7", "--seed", "3"], "smoke"),
        (["--lam", "1", "--deep"], "smoke-lam-1.0-deep"),
        (["--batch-size", "9"], "smoke-batch-size-9"),
        (["--kinds", "a", "b"], "smoke-kinds-a-b"),
    ],
)
def test_variant_names_the_flags_that_differ_from_the_preset(flags, variant):
    assert parsed(*flags).variant == variant


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset", "imagenet"], "not one of celeba, .*folder:PATH"),
        (["--dataset", "folder:"], "not one of"),
        (["--dataset", "nmist"], "did you mean mnist\\?"),
        (["--dataset", "LFW"], "did you mean lfw\\?"),
        (["--dataset", "/tmp"], "did you mean folder:/tmp\\?"),
        (["--preset", "huge"], "choose from"),
        (["--size", "33"], "'33' is not one of 16, 32, 64, 128, 256, 512"),
        (["--batch-size", "0"], "whole number of at least 1"),
        (["--batch-size", "8.5"], "whole number of at least 1"),
        (["--batch-size", "1000001"], "'1000001' is too large: at most 1000000"),
        (["--latent-dim", "999999999"], "too large: at most 65536"),
        (["--steps", "1\n2"], r"'1\\n2' is not a whole number"),
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
def test_wrong_flag_gives_one_line_and_exit_code_2(flags, message, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", *flags])
    with pytest.raises(SystemExit) as stop:
        main(train.run, train.make_parser())
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_toys_are_data_sets_only_with_toys_true(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    with_toys, without = parser("test", PRESETS, toys=True), parser("test", PRESETS)
    for name in (*TOYS, "toy_faces", "folder:tests"):
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


def test_help_names_the_defaults():
    text = " ".join(gan_parser("about", {"quick": {}, "paper": {}}).format_help().split())
    for part in (
        "(default toy_faces)",
        "(default none); then $DATA_DIR",
        "else quick)",
        "(default 0)",
        "(default runs)",
    ):
        assert part in text
    assert "(default 8gaussians)" in parser("about", PRESETS, "8gaussians", toys=True).format_help()


def test_unknown_flags_are_forwarded_only_on_request(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare.py", "--lam", "2", "--no-such-flag", "5"])
    received = []
    main(received.append, make_parser(), forward_unknown=True)
    assert received[0].lam == 2 and received[0].forwarded == ["--no-such-flag", "5"]
    with pytest.raises(SystemExit) as stop:
        main(received.append, make_parser())
    assert stop.value.code == 2 and len(received) == 1
    assert "unrecognized arguments: --no-such-flag 5" in capsys.readouterr().err


def test_user_error_is_one_line_and_ctrl_c_is_exit_code_130(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py"])

    def fail(args):
        raise UserError("put the file there")

    def stop(args):
        raise KeyboardInterrupt("stopped at step 3")

    for body, code, text in ((fail, 2, "train.py: error: put the file there\n"), (stop, 130, "\nstopped at step 3\n")):
        with pytest.raises(SystemExit) as end:
            main(body, make_parser())
        assert end.value.code == code
        assert capsys.readouterr().err == text


class ResourceExhaustedError(Exception):
    """An error with the name that TensorFlow gives it."""


@pytest.mark.parametrize(
    "error", [MemoryError(), ResourceExhaustedError("OOM\nin two lines"), RuntimeError("RESOURCE_EXHAUSTED: 9 GB")]
)
def test_too_little_memory_is_one_line(error, capsys, monkeypatch):
    def fail(args):
        raise error

    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(SystemExit) as end:
        main(fail, make_parser())
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert "error: out of memory: use a smaller --batch-size" in printed and printed.count("\n") == 1


@pytest.mark.parametrize("module", ["energy_gan.sample", "ogan.reconstruct", "rsgan.train", "fgan.gaussian"])
def test_too_little_memory_names_flags_that_the_script_has(module, capsys, monkeypatch):
    def fail(args):
        raise MemoryError

    parser = importlib.import_module(module).make_parser()
    for action in parser._actions:
        action.required = False
    monkeypatch.setattr(
        "sys.argv", ["script.py", *([str(Path(__file__).parent)] if module == "energy_gan.sample" else [])]
    )
    with pytest.raises(SystemExit):
        main(fail, parser)
    line = capsys.readouterr().err
    assert not unknown_flags(module, line), line
    assert ("--chains" in line) == (module == "energy_gan.sample") and ("larger machine" in line) == (
        "reconstr" in module
    )


def test_other_errors_keep_their_traceback(monkeypatch):
    def fail(args):
        raise RuntimeError("a bug")

    monkeypatch.setattr("sys.argv", ["train.py"])
    with pytest.raises(RuntimeError, match="a bug"):
        main(fail, make_parser())


def test_control_characters_and_long_texts_stay_one_short_line():
    assert one_line("a\nb\r\nc\x1b[31m\udcff") == r"a b c\x1b[31m\udcff"
    text = one_line("x" * 9000 + "end")
    assert len(text) < 2000 and text.endswith("end")
