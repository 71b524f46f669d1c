"""The diagrams: complete, reproducible, nothing cut off, no text crossed by a line or another text."""

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
    """Two folders of the figures: one from the script, one from drawings made independently."""
    from_script, from_drawings = (tmp_path_factory.mktemp("diagrams") for _ in range(2))
    run(argparse.Namespace(out=str(from_script)))
    for name, drawing in drawings.items():
        drawing.save(from_drawings / f"{name}.png")
    return from_script / "flow/schemes", from_drawings


def test_there_is_one_figure_for_each_diagram_of_the_articles():
    articles = {article for _, article in FIGURES.values()}
    expected = {f"5807-F{i}" for i in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12)} | {"5776-F2", "5776-F3", "6407"}
    assert articles == expected and len(FIGURES) == len(expected)


def test_the_folder_holds_only_the_figures(written):
    assert {path.name for path in written[0].iterdir()} == {f"{name}.png" for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_not_blank_and_not_cut_off(written, name):
    picture = iio.imread(written[0] / f"{name}.png")[..., :3]
    assert picture.shape[1] == 900
    assert len(np.unique(picture @ np.array([1, 256, 256**2]))) > 100
    ink = (picture < 255).any(-1)
    assert 0.03 < ink.mean() < 0.5
    border = np.ones_like(ink)
    border[4:-4, 4:-4] = False
    assert not ink[border].any(), "ink at the border: something may be cut off"


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_figure_gives_the_same_bytes(written, name):
    from_script, from_drawings = (folder / f"{name}.png" for folder in written)
    assert from_script.read_bytes() == from_drawings.read_bytes()


def test_all_figures_differ(written):
    assert len({path.read_bytes() for path in written[0].iterdir()}) == len(FIGURES)


def outline(patch):
    """Return points, at most a pixel apart, on the outline of a box or cell or along an arrow."""
    polygons = patch.get_path().to_polygons(patch.get_transform(), closed_only=False) if patch.get_linewidth() else []
    sides = [side for polygon in polygons for side in pairwise(polygon)]
    return np.concatenate([np.empty((0, 2)), *(np.linspace(a, b, 2 + int(np.abs(b - a).max())) for a, b in sides)])


def hides(patch, extent):
    """Return whether the patch covers all of the extent."""
    bounds = patch.get_window_extent()
    is_filled = patch.get_facecolor()[3] > 0 and not isinstance(patch, FancyArrowPatch)
    return is_filled and (bounds.min <= extent.min).all() and (bounds.max >= extent.max).all()


@pytest.mark.parametrize("name", FIGURES)
def test_no_line_and_no_other_text_crosses_a_text(drawings, name):
    drawing = drawings[name]
    renderer = drawing.figure.canvas.get_renderer()
    extents = {text: text.get_window_extent(renderer) for text in drawing.axes.texts if text.get_text()}
    patches = sorted(drawing.axes.patches, key=lambda patch: patch.zorder)  # in the order of painting
    outlines = [outline(patch) for patch in patches]
    points = np.concatenate(outlines)
    patch_indices = np.repeat(range(len(outlines)), [len(outline) for outline in outlines])
    for text, extent in extents.items():
        # only what is painted after the last patch behind the whole text can cross it
        background = max((i for i, patch in enumerate(patches) if hides(patch, extent)), default=0)
        inside = ((points > extent.min - 1) & (points < extent.max + 1)).all(1) & (patch_indices >= background)
        assert not inside.any(), f"a line crosses {text.get_text()!r} at {points[inside][0]}"
        assert extent.min.min() > 0 and (extent.max < drawing.figure.bbox.max).all(), f"{text.get_text()!r} is cut off"
    for (text1, extent1), (text2, extent2) in combinations(extents.items(), 2):
        assert not extent1.overlaps(extent2), f"{text1.get_text()!r} and {text2.get_text()!r} overlap"


def test_squeeze_shows_every_number_in_the_channel_of_the_formula(drawings):
    """The value at (2 i + dy, 2 j + dx) of channel ch goes to (i, j) of channel (2 dy + dx) c + ch."""
    texts = [(text.get_text(), *text.get_position()) for text in drawings["squeeze"].axes.texts]
    numbers = [(int(text), x, y) for text, x, y in texts if text.isdigit()]
    shown = np.empty((2, 2, 8), int)
    for text, x0, y0 in texts:
        if text.startswith("channel ") and text[8:].isdigit():
            row_by_row = sorted((-y, x, n) for n, x, y in numbers if abs(x - x0) < 0.5 and 0 < y - y0 < 1)
            shown[..., int(text[8:])] = np.reshape([n for _, _, n in row_by_row], (2, 2))
    image = np.arange(32).reshape(2, 4, 4).transpose(1, 2, 0)
    for i, j, dy, dx, ch in np.ndindex(2, 2, 2, 2, 2):
        assert shown[i, j, (2 * dy + dx) * 2 + ch] == image[2 * i + dy, 2 * j + dx, ch]


def test_a_shuffle_moves_every_cell_once_and_mixes_the_halves(drawings):
    """Each of the two shuffles is eight curves, from eight heights to the same heights, some from half to half."""
    arrows = [patch for patch in drawings["shuffle"].axes.patches if isinstance(patch, FancyArrowPatch)]
    paths = [arrow.get_path().vertices for arrow in arrows]
    ends = [path[[0, -1]] for path in paths if len(path) == 4]  # a curve has four points
    starts = {round(end[0, 0], 6) for end in ends}
    assert len(starts) == 2
    for x in starts:
        y_start, y_end = np.array([end[:, 1] for end in ends if np.isclose(end[0, 0], x)]).T
        assert len(y_start) == 8 and np.allclose(np.sort(y_start), np.sort(y_end))
        assert len(set(y_start.round(6))) == 8
        changes_half = (y_start > np.median(y_start)) != (y_end > np.median(y_end))
        assert 0 < changes_half.sum() < 8


@pytest.mark.parametrize("arguments", [["--size", "3"], ["--ou", "x"], ["more"]])
def test_a_wrong_flag_is_reported_in_one_line(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["diagrams.py", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main(run, make_parser())
    assert exit_info.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_created_is_reported_in_one_line(monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["diagrams.py", "--out", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as exit_info:
        main(run, make_parser())
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert "is not a folder" in error and error.count("\n") == 1


def test_help_imports_neither_keras_nor_matplotlib():
    code = "import sys; from flow.diagrams import make_parser; make_parser().format_help(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not {"keras", "tensorflow", "matplotlib"} & set(done.stdout.split())
