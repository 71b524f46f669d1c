"""The scripts of article 6261 from their flags to their files."""

import imageio.v3 as iio
import pytest

from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import error_line, metrics_of, run_here


def test_escape(tmp_path, capsys):
    assert run_here("dynamics/escape.py", "--preset", "smoke", "--out", tmp_path) == 0
    folder = tmp_path / "dynamics/escape-smoke"
    for name in ("escape", "share"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    animation = folder / "figures/escape.gif"
    assert len(iio.imread(animation)) > 20 and animation.stat().st_size < 250_000
    metrics = metrics_of(folder)
    assert metrics["gradient descent/f"] == pytest.approx(1.62276, abs=1e-5)
    assert metrics["share/h 0.01/M 70"] == 0 < metrics["share/h 0.01/M 80"]
    assert metrics["share/noise 0.5"] == 0 < metrics["share/noise 1.5"] < 1
    text = (folder / "table.md").read_text()
    assert text in capsys.readouterr().out and "| 0.01 | 71.294 | 0 | 0 | 0 |" in text


def test_decay(tmp_path, capsys):
    assert run_here("dynamics/decay.py", "--out", tmp_path) == 0
    folder = tmp_path / "dynamics/decay"
    for name in ("decay", "rest"):
        assert_not_blank(folder / f"figures/{name}.png", least=10)
    metrics = metrics_of(folder)
    assert f"{metrics['decay/Polyak/L(3)/L(0), Euler']:.4f}" == f"{metrics['decay/Polyak/e^-3']:.4f}" == "0.0498"
    assert metrics["decay/sign/dL/dt measured"] == pytest.approx(-111)
    for setting, swing in {"0, 0, 0.1": 1, "0.9, 1e-08, 0.1": 1, "0.99, 1e-08, 0.1": 1, "0.9, 0.01, 0.1": 0}.items():
        assert metrics[f"rest/{setting}/swing / h"] == pytest.approx(swing, abs=0.03)
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_games(tmp_path, capsys):
    assert run_here("dynamics/games.py", "--out", tmp_path) == 0
    folder = tmp_path / "dynamics/games"
    assert_not_blank(folder / "figures/games.png", least=10)
    metrics = metrics_of(folder)
    assert metrics["factor/bilinear, simultaneous/h = 0.5"] == pytest.approx(1.25**0.5)
    assert metrics["distance/bilinear, penalty, simultaneous/h = 0.2"] < 0.1
    assert (folder / "table.md").read_text() in capsys.readouterr().out


def test_wrong_flags_get_one_line(tmp_path):
    assert "did you mean smoke?" in error_line("dynamics/escape.py", "--preset", "smok", "--out", tmp_path)
    (tmp_path / "file").touch()
    for script in ("decay", "games"):
        assert "is not a folder; name another one" in error_line(f"dynamics/{script}.py", "--out", tmp_path / "file")
