"""The scripts of article 7888 from their flags to their files."""

import json

import numpy as np
import pytest
from keras import layers

from rnn import compare
from rnn.cells import GRUCell, LSTMCell, ResetOutputCell, SimpleCell
from rnn.train import build_layer, first_bit, make_parser
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_comparison, run_here

TINY = ["--preset", "smoke", "--units", "4", "--delay", "2"]


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


def test_a_comparison_and_a_run_that_goes_on_and_ends_as_one_that_was_not_stopped(monkeypatch, home, tmp_path, capsys):
    length = ["--steps", "40", "--every", "20"]
    flags = ["--preset", "smoke", "--units", "4", "--seeds", "1", "--cells", "tanh", "--delays", "2", *length]
    run_comparison(monkeypatch, home, "rnn/compare.py", *flags, "--out", tmp_path)
    folder = tmp_path / "rnn/compare-smoke"
    assert_not_blank(folder / "figures/recall.png")
    text, printed = (folder / "table.md").read_text(), capsys.readouterr().out
    assert text in printed and "| cell | accuracy, T = 2 | longest T recalled |" in text
    results = json.loads((folder / "results.json").read_text())
    assert f"| tanh | {results['metrics']['accuracy, T = 2/tanh/0']:.3f} |" in text and "dataset" not in results

    (straight,) = (folder / "tanh-2-0/rnn").iterdir()
    assert straight.name == "smoke-cell-tanh-delay-2-units-4-s0"
    assert "training rnn, preset smoke, 40 steps of 16" in (folder / "tanh-2-0/log.txt").read_text()
    metrics = metrics_of(straight)
    assert metrics["accuracy"] > 0.9 and metrics["parameters"] == 4 + 16 + 4 + 5
    assert_not_blank(straight / "figures/accuracy.png")

    flags = [*TINY, "--cell", "tanh", "--steps", "20", "--every", "20", "--out", tmp_path / "b"]
    assert run_here("rnn/train.py", *flags) == 0
    (resumed,) = (tmp_path / "b/rnn").iterdir()
    assert run_here("rnn/train.py", "--resume", resumed, "--steps", "40") == 0
    with np.load(straight / "checkpoint.npz") as a, np.load(resumed / "checkpoint.npz") as b:
        for key in a.files:
            if key != "extra-seconds":
                np.testing.assert_array_equal(a[key], b[key], err_msg=key)
    assert metrics_of(resumed)["accuracy"] == metrics["accuracy"]


def test_the_flags_of_each_kind_build_its_cell():
    cells = {"tanh": SimpleCell, "relu": SimpleCell, "lstm": LSTMCell, "gru": GRUCell, "reset_output": ResetOutputCell}
    cells |= {"keras_lstm": layers.LSTMCell, "keras_gru": layers.GRUCell}
    for kind, flags in compare.KINDS.items():
        cell = build_layer(make_parser().parse_args([*flags, "--units", "3"])).cell
        name, _, bias = kind.partition("_bias_")
        assert type(cell) is cells[name] and cell.units == 3
        assert not bias or cell.forget_bias == float(bias)
        assert name not in ("tanh", "relu") or cell.activation == name


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
