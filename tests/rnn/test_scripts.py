"""The scripts of article 7888 from their flags to their files."""

import json
import shutil

import numpy as np
import pytest

from rnn import compare
from rnn.train import first_bit
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, run_comparison, run_here

TINY = ["--preset", "smoke", "--units", "4", "--delay", "2"]


def metrics_of(folder):
    return json.loads((folder / "results.json").read_text())["metrics"]


def test_bounds(tmp_path, capsys):
    assert run_here("rnn/bounds.py", "--out", tmp_path) == 0
    folder = tmp_path / "rnn/bounds"
    assert_not_blank(folder / "figures/bounds.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["tanh/abs(a) = 2"] == pytest.approx(2.116, abs=5e-4)
    assert metrics["side/LSTM/u = 1"] == pytest.approx(1.362, abs=5e-4)
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_norms(tmp_path, capsys):
    assert run_here("rnn/norms.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "rnn/norms-smoke"
    for name in ("curves", "sweeps"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["layer/ReLU, scale 2/median"] > metrics["layer/tanh, scale 2/median"] + 3
    assert metrics["bias/LSTM/0"] < -9 < -6 < metrics["bias/LSTM/1"]
    assert metrics["unit/ReLU, s = 4/above 1"] > 10 > 5 > metrics["unit/GRU, s = 4, forget bias 0/above 1"]
    assert metrics["gradient/tanh/of its first 30 terms"] < 1e-3 * metrics["gradient/tanh/norm of the gradient"]
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_the_sequences():
    x = first_bit(4000, 3, [0, 0])
    assert x.shape == (4000, 4, 1) and x.dtype == np.float32
    bits, noise = x[:, 0, 0], x[:, 1:]
    assert set(bits) == {-1, 1} and abs(bits.mean()) < 0.06
    assert noise.std() == pytest.approx(1, abs=0.03) and abs(noise.mean()) < 0.03
    assert abs((bits[:, None] * noise[..., 0]).mean(0)).max() < 0.06, "the noise does not tell the bit"
    assert (first_bit(5, 3, [0, 1]) != first_bit(5, 3, [0, 0])).any()


def test_a_cell_learns_a_short_delay_and_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path, capsys):
    flags = [*TINY, "--cell", "tanh", "--steps", "40", "--every", "20"]
    assert run_here("rnn/train.py", *flags, "--out", tmp_path / "a") == 0
    (straight,) = (tmp_path / "a/rnn").iterdir()
    assert straight.name == "smoke-cell-tanh-delay-2-units-4-s0"
    metrics = metrics_of(straight)
    assert metrics["accuracy"] > 0.9 and metrics["parameters"] == 4 + 16 + 4 + 5
    assert_not_blank(straight / "figures/accuracy.png")

    assert run_here("rnn/train.py", *flags[:-4], "--steps", "20", "--every", "20", "--out", tmp_path / "b") == 0
    (resumed,) = (tmp_path / "b/rnn").iterdir()
    assert run_here("rnn/train.py", "--resume", resumed, "--steps", "40") == 0
    with np.load(straight / "checkpoint.npz") as a, np.load(resumed / "checkpoint.npz") as b:
        for key in a.files:
            if key != "extra-seconds":
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert metrics_of(resumed)["accuracy"] == metrics["accuracy"]
    assert "training rnn, preset smoke, 40 steps of 16" in capsys.readouterr().out


def test_comparison(monkeypatch, home, tmp_path, capsys):
    flags = [*TINY[:4], "--seeds", "1", "--cells", "tanh", "reset_output_bias_1", "--delays", "2", "--steps", "40"]
    run_comparison(monkeypatch, home, "rnn/compare.py", *flags, "--out", tmp_path)
    folder = tmp_path / "rnn/compare-smoke"
    assert_not_blank(folder / "figures/recall.png")
    text = (folder / "table.md").read_text()
    assert text in capsys.readouterr().out and "| cell | accuracy, T = 2 | longest T recalled |" in text
    results = json.loads((folder / "results.json").read_text())
    accuracy = results["metrics"]["accuracy, T = 2/tanh/0"]
    assert f"| tanh | {accuracy:.3f} |" in text and "dataset" not in results
    config = json.loads(next(folder.glob("reset_output_bias_1-2-0/rnn/*/config.json")).read_text())
    assert (config["flags"]["cell"], config["flags"]["forget_bias"]) == ("reset_output", 1.0)
    shutil.rmtree(folder)


def test_the_longest_delay_that_every_seed_recalls():
    assert compare.longest({20: [1.0, 0.95], 50: [0.96, 0.97], 100: [1.0, 0.94]}) == 50
    assert compare.longest({20: [0.5, 1.0], 50: [1.0, 1.0]}) == 0


def test_wrong_flags_get_one_line(tmp_path):
    assert "did you mean lstm?" in error_line("rnn/train.py", "--cell", "lsmt", "--out", tmp_path)
    assert "'0' is not a whole number of at least 1" in error_line("rnn/train.py", "--delay", "0", "--out", tmp_path)
    assert "did you mean smoke?" in error_line("rnn/norms.py", "--preset", "smok", "--out", tmp_path)
    assert "did you mean tanh?" in error_line("rnn/compare.py", "--cells", "tan", "--out", tmp_path)
    (tmp_path / "file").touch()
    assert "is not a folder; name another one" in error_line("rnn/bounds.py", "--out", tmp_path / "file")
