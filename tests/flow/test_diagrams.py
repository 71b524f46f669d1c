"""The schemes of the articles on flows: all there, nothing cut, nothing written over, the same on every run."""

import argparse
import subprocess
import sys
from itertools import combinations, pairwise

import imageio.v3 as iio
import numpy as np
import pytest
from matplotlib.patches import FancyArrowPatch

from common.cli import main
from flow.diagrams import FIGURES, make_parser, run
from tests.helpers.scripts import ROOT


@pytest.fixture(scope="module")
def drawings():
    return {name: draw() for name, (draw, _) in FIGURES.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory, drawings):
    """Two folders of the figures: from the script, and from drawings made before."""
    first, second = (tmp_path_factory.mktemp("schemes") for _ in range(2))
    run(argparse.Namespace(out=str(first)))
    for name, drawing in drawings.items():
        drawing.save(second / f"{name}.png")
    return first / "flow/schemes", second


def test_one_figure_for_each_scheme_of_the_articles():
    articles = {article for _, article in FIGURES.values()}
    wanted = {f"5807-F{i}" for i in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12)} | {"5776-F2", "5776-F3", "6407"}
    assert articles == wanted and len(FIGURES) == len(wanted)


def test_the_folder_holds_the_figures_and_nothing_else(written):
    assert {path.name for path in written[0].iterdir()} == {f"{name}.png" for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_whole(written, name):
    picture = iio.imread(written[0] / f"{name}.png")[..., :3]
    assert picture.shape[1] == 900
    assert len(np.unique(picture @ np.array([1, 256, 256**2]))) > 100
    ink = (picture < 255).any(-1)
    assert 0.03 < ink.mean() < 0.5
    rim = np.ones_like(ink)
    rim[4:-4, 4:-4] = False
    assert not ink[rim].any(), "ink at the border: something may be cut"


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(written, name):
    first, second = (folder / f"{name}.png" for folder in written)
    assert first.read_bytes() == second.read_bytes()


def test_all_figures_differ(written):
    assert len({path.read_bytes() for path in written[0].iterdir()}) == len(FIGURES)


def outline(patch):
    """Points at most a pixel apart on the outline of a box or cell, or along an arrow."""
    polygons = patch.get_path().to_polygons(patch.get_transform(), closed_only=False) if patch.get_linewidth() else []
    sides = [side for polygon in polygons for side in pairwise(polygon)]
    return np.concatenate([np.empty((0, 2)), *(np.linspace(a, b, 2 + int(np.abs(b - a).max())) for a, b in sides)])


def hides(patch, extent):
    """Whether the patch paints over all of the extent."""
    around = patch.get_window_extent()
    filled = patch.get_facecolor()[3] > 0 and not isinstance(patch, FancyArrowPatch)
    return filled and (around.min <= extent.min).all() and (around.max >= extent.max).all()


@pytest.mark.parametrize("name", FIGURES)
def test_no_line_and_no_other_text_runs_through_a_text(drawings, name):
    drawing = drawings[name]
    renderer = drawing.figure.canvas.get_renderer()
    extents = {text: text.get_window_extent(renderer) for text in drawing.axes.texts if text.get_text()}
    patches = sorted(drawing.axes.patches, key=lambda patch: patch.zorder)  # in the order of painting
    outlines = [outline(patch) for patch in patches]
    points, owner = np.concatenate(outlines), np.repeat(range(len(outlines)), [len(points) for points in outlines])
    for text, extent in extents.items():
        ground = max((i for i, patch in enumerate(patches) if hides(patch, extent)), default=0)
        inside = ((points > extent.min - 1) & (points < extent.max + 1)).all(1) & (owner >= ground)
        assert not inside.any(), f"a line runs through {text.get_text()!r} at {points[inside][0]}"
        assert extent.min.min() > 0 and (extent.max < drawing.figure.bbox.max).all(), f"{text.get_text()!r} is cut"
    for (a, one), (b, other) in combinations(extents.items(), 2):
        assert not one.overlaps(other), f"{a.get_text()!r} and {b.get_text()!r} overlap"


def test_squeeze_puts_every_number_into_the_channel_of_its_formula(drawings):
    """Channel (2 dy + dx) c + ch of the result holds the values at odd or even places of channel ch."""
    texts = [(text.get_text(), *text.get_position()) for text in drawings["squeeze"].axes.texts]
    numbers = [(int(text), x, y) for text, x, y in texts if text.isdigit()]
    shown = np.empty((2, 2, 8), int)
    for text, x0, y0 in texts:
        if text.startswith("channel ") and text[8:].isdigit():
            plane = sorted((-y, x, n) for n, x, y in numbers if abs(x - x0) < 0.5 and 0 < y - y0 < 1)
            shown[..., int(text[8:])] = np.reshape([n for _, _, n in plane], (2, 2))
    image = np.arange(32).reshape(2, 4, 4).transpose(1, 2, 0)
    for i, j, dy, dx, ch in np.ndindex(2, 2, 2, 2, 2):
        assert shown[i, j, (2 * dy + dx) * 2 + ch] == image[2 * i + dy, 2 * j + dx, ch]


def test_a_shuffle_moves_every_cell_once_and_mixes_the_halves(drawings):
    """Between two columns of the shuffle run eight lines, from eight heights to eight heights, some across the gap."""
    bends = [p for p in drawings["shuffle"].axes.patches if isinstance(p, FancyArrowPatch)]
    ends = [p.get_path().vertices[[0, -1]] for p in bends if len(p.get_path().vertices) == 4]
    gaps = {round(end[0, 0], 6) for end in ends}
    assert len(gaps) == 2
    for x in gaps:
        start, stop = np.array([end[:, 1] for end in ends if np.isclose(end[0, 0], x)]).T
        assert len(start) == 8 and np.allclose(np.sort(start), np.sort(stop))
        assert len(set(start.round(6))) == 8
        across = (start > np.median(start)) != (stop > np.median(stop))
        assert 0 < across.sum() < 8


@pytest.mark.parametrize("words", [["--size", "3"], ["--ou", "x"], ["more"]])
def test_a_wrong_flag_is_answered_in_one_line(monkeypatch, capsys, words):
    monkeypatch.setattr(sys, "argv", ["schemes.py", *words])
    with pytest.raises(SystemExit) as ending:
        main(run, make_parser())
    assert ending.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_answered_in_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["schemes.py", "--out", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as ending:
        main(run, make_parser())
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert "cannot write" in error and error.count("\n") == 1


def test_help_needs_neither_keras_nor_matplotlib():
    code = "import sys; from flow.diagrams import make_parser; make_parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"keras", "tensorflow", "matplotlib"} & set(done.stdout.split())
