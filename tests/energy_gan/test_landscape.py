"""The energy landscapes, the scenes drawn on them, and the script (article 6316)."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from energy_gan import landscape
from energy_gan.landscape import EIGHT_PITS, barriers, distinct_pits
from energy_gan.toy_dynamics import assign_to_pit, energy, heavy_ball, slope
from tests.helpers.arrays import assert_not_blank
from tests.helpers.scripts import run_here


def test_small_steps_without_momentum_end_in_the_pit_of_their_basin():
    ends = barriers(EIGHT_PITS)
    start = np.random.default_rng(1).uniform(ends[0] + 0.01, ends[-1] - 0.01, 300)
    start = start[abs(start[:, None] - ends).min(1) > 0.01]
    path = heavy_ball(lambda x: slope(x, EIGHT_PITS), start, 0.03, 0.0, 1000)
    assert (np.diff(energy(path, EIGHT_PITS), axis=0) < 1e-12).all()
    basins = np.searchsorted(ends, start) - 1
    assert (assign_to_pit(path[-1], *EIGHT_PITS[:, [0, 2]].T) == basins).all() and set(basins) == set(range(8))
    assert abs(slope(path[-1], EIGHT_PITS)).max() < 1e-6


def test_barriers_are_where_the_energy_is_flat_and_high():
    ends = barriers(EIGHT_PITS)
    assert len(ends) == 9 and (np.diff(ends) > 0).all()
    assert ((ends[:-1] < EIGHT_PITS[:, 0]) & (EIGHT_PITS[:, 0] < ends[1:])).all(), "a real in every basin"
    inner = ends[1:-1]
    assert abs(slope(inner, EIGHT_PITS)).max() < 0.01
    beside = np.maximum(energy(inner - 0.05, EIGHT_PITS), energy(inner + 0.05, EIGHT_PITS))
    assert (energy(inner, EIGHT_PITS) > beside).all()


def test_momentum_carries_a_ball_over_a_barrier():
    pits = np.array([(-1.6, 1.2, 0.6), (0.2, 0.6, 0.5)])
    plain, heavy = (heavy_ball(lambda x: slope(x, pits), [1.05], 0.1, beta, 300)[-1, 0] for beta in (0.0, 0.9))
    assert plain == pytest.approx(0.17, abs=0.05), "the pit on whose slope it starts"
    assert heavy == pytest.approx(-1.6, abs=0.05), "the deeper pit behind the barrier"


def test_momentum_and_large_steps_cost_diversity():
    pairs = [(beta, rate) for beta in (0, 0.9) for rate in (0.01, 0.1, 0.5)]
    counts = {pair: distinct_pits(*pair, draws=30).mean() for pair in pairs}
    assert counts[0, 0.01] == counts[0, 0.1] == counts[0.9, 0.01] == 8
    assert counts[0.9, 0.1] < 7.5
    assert counts[0.9, 0.5] < counts[0, 0.5] < 5


def test_fakes_that_are_thrown_out_of_all_pits_reach_none():
    assert distinct_pits(0.9, 20.0, draws=20).max() == 0


# scenes


def test_the_scenes_show_what_their_titles_say():
    end = lambda panel: np.sort(panel["path"][-1])
    (panel,), _ = landscape.rolling()
    np.testing.assert_allclose(end(panel), panel["reals"], atol=0.05)

    (stops, goes), _ = landscape.spurious_pit()
    assert abs(stops["path"][-1][1] - np.array(stops["reals"])).min() > 1, "it stays where there is no real"
    np.testing.assert_allclose(end(goes), goes["reals"], atol=0.05)

    (plain, heavy), frames = landscape.momentum()
    np.testing.assert_allclose(end(plain), plain["reals"], atol=0.08)
    np.testing.assert_allclose(end(heavy), heavy["reals"][[0, 0, 2]], atol=0.08)
    for panel, last in zip((plain, heavy), frames[-1], strict=True):
        np.testing.assert_array_equal(last["path"], panel["path"], "an animation ends as the picture")

    (panel,), _ = landscape.collapse()
    np.testing.assert_allclose(end(panel), panel["reals"][2], atol=0.05)


# the script


def test_the_script_draws_the_landscapes_and_counts_the_pits(tmp_path, capsys):
    assert run_here("energy_gan/landscape.py", "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert not printed.err.strip(), "no warnings"
    output_dir = tmp_path / "energy_gan/landscape"
    for name in ("digging", "rolling", "spurious-pit", "momentum", "collapse", "dirac"):
        assert_not_blank(output_dir / f"figures/{name}.png", least=10)
    for name in ("rolling", "spurious-pit", "momentum", "collapse"):
        animation = output_dir / f"figures/{name}.gif"
        assert len(iio.imread(animation)) > 20 and animation.stat().st_size < 500_000
    metrics = json.loads((output_dir / "results.json").read_text())["metrics"]
    assert metrics["pits/0/rate 0.1"] == 8 > metrics["pits/0.9/rate 0.1"]
    assert all(metrics[f"pits/0/rate {r}"] >= metrics[f"pits/0.9/rate {r}"] for r in (0.01, 0.03, 0.1, 0.3, 0.5))
    assert metrics["theta/WGAN-GP, c = 0/to"] < 0.02 < 0.9 < metrics["theta/WGAN-GP, c = 1/from"]
    text = (output_dir / "table.md").read_text()
    assert text in printed.out and "| GAN-QP | 0.167 | 0.179 |" in text
