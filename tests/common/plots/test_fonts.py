"""Text in any script: drawn with a font that has it, or left out with a line, and never matplotlib's boxes.

The tests draw with a font of their own, in which each Chinese character is a full square.
"""

import imageio.v3 as iio
import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from common.plots import fonts
from common.plots.charts import blank_figure, plot_bars, plot_curves, write_figure
from common.plots.planes import plot_panels_2d

NAME = "人脸"
X = np.arange(3.0)


def square_font(path, family, characters):
    """Write a TrueType font that draws a square for each of some characters."""
    pen = TTGlyphPen(None)
    for i, point in enumerate([(0, 0), (0, 1000), (1000, 1000), (1000, 0)]):
        (pen.lineTo if i else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"u{ord(c):x}" for c in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): f"u{ord(c):x}" for c in characters})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1100, 0)))
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that makes fonts the only ones on the disk, besides matplotlib's own."""
    own = font_manager.findfont("DejaVu Sans")
    font_manager.get_font(own)
    entries = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]

    def install(**characters_by_family):
        paths = [square_font(tmp_path / f"{f}.ttf", f, text) for f, text in characters_by_family.items()]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", list(entries))
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: paths)
        font_manager.fontManager._findfont_cached.cache_clear()
        fonts._installed_fonts.cache_clear()

    install()
    yield install
    fonts._installed_fonts.cache_clear()
    font_manager.fontManager._findfont_cached.cache_clear()


def ink(path):
    return (iio.imread(path)[..., :3].max(2) < 100).sum()


DRAWINGS = {
    "title": lambda path, name: plot_curves(path, {"a": (X, X)}, "x", "y", name),
    "axis": lambda path, name: plot_curves(path, {"a": (X, X)}, name, "y"),
    "legend": lambda path, name: plot_curves(path, {name: (X, X)}, "x", "y"),
    "reference": lambda path, name: plot_curves(path, {"a": (X, X)}, "x", "y", references={name: 1}),
    "group": lambda path, name: plot_bars(path, {name: {"a": 1}, "b": {"a": 2}}, "y"),
    "panel": lambda path, name: plot_panels_2d(path, {name: np.zeros((3, 3)), "b": np.zeros((3, 3))}, (0, 1, 0, 1)),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_chinese_is_drawn_with_a_font_that_has_it(tmp_path, install, capsys, draw):
    """Two full squares are more ink than two Latin letters."""
    install(SomeHei=NAME)
    draw(tmp_path / "chinese.png", NAME)
    draw(tmp_path / "latin.png", "io")
    assert ink(tmp_path / "chinese.png") > ink(tmp_path / "latin.png") + 50
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
def test_chinese_is_left_out_where_no_font_has_it(tmp_path, install, capsys, caplog, draw):
    """The drawing has the bytes of one with an ellipsis in its place, and one line names the package."""
    draw(tmp_path / "chinese.png", NAME)
    line = f"{tmp_path}/chinese.png: no font here has {NAME}, so it is left out"
    assert capsys.readouterr().out == f"{line} (on Debian and Ubuntu: apt install fonts-noto-cjk)\n"
    draw(tmp_path / "ellipsis.png", "…")
    assert (tmp_path / "chinese.png").read_bytes() == (tmp_path / "ellipsis.png").read_bytes()
    assert not caplog.records


@pytest.mark.parametrize(
    ("name", "expected", "package"),
    [
        ("folder:/数据/faces, 3 seeds", "folder:/…/faces, 3 seeds", "fonts-noto-cjk"),
        ("a]^-\\人b", "a]^-\\…b", "fonts-noto-cjk"),
        ("ひらがな, 한글", "…, …", "fonts-noto-cjk"),
        ("हिन्दी 1", "… 1", "fonts-noto"),
        ("café, λ, μ_z, Ж", "café, λ, μ_z, Ж", None),  # in matplotlib's own font
        ("two\nlines", "two\nlines", None),
        ("", "", None),
    ],
)
def test_only_what_no_font_has_is_left_out(tmp_path, install, capsys, name, expected, package):
    figure = blank_figure(3, 1)
    text = figure.add_subplot().set_title(name, parse_math=False)
    write_figure(tmp_path / "a.png", figure)
    assert text.get_text() == expected
    output = capsys.readouterr().out
    assert output.endswith(f", so it is left out (on Debian and Ubuntu: apt install {package})\n") == bool(package)
    assert output.count("\n") == bool(package)


@pytest.mark.parametrize("character", ["\t", "\0", "\x1b", "\udcff", "\u0378", "\u2028"])
def test_what_no_font_can_have_is_left_out_without_advice(tmp_path, install, capsys, character):
    """Control characters, and the halves of characters that a file name in another encoding is read as."""
    figure = blank_figure(3, 1)
    text = figure.add_subplot().set_title(f"a{character}b", parse_math=False)
    write_figure(tmp_path / "a.png", figure)
    assert text.get_text() == "a…b"
    assert capsys.readouterr().out == f"{tmp_path}/a.png: no font here has {character!a}, so it is left out\n"


def test_preferred_fonts_come_first_and_fonts_share_the_work(install):
    install(Aardvark="人脸数", SimHei="人脸", Other="据")
    assert fonts.fonts_for("人脸") == (["SimHei"], "")
    assert fonts.fonts_for("a人脸数据集") == (["SimHei", "Aardvark", "Other"], "集")
    assert fonts.fonts_for("plain") == ([], "")


def test_damaged_fonts_are_passed_over(tmp_path, install, monkeypatch):
    install(Good=NAME)
    good = font_manager.findSystemFonts()
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "bad.ttf"), *good])
    assert fonts.fonts_for(NAME) == (["Good"], "")


@pytest.mark.parametrize("name", ["cost $5, $6", r"$\nosuch{$ 100 %"])
def test_names_are_not_read_as_formulas(tmp_path, name):
    for label, draw in DRAWINGS.items():
        draw(tmp_path / f"{label}.png", name)
        assert ink(tmp_path / f"{label}.png") > 100


def test_the_line_can_be_printed_on_a_narrow_terminal(monkeypatch):
    class Ascii:
        encoding = "ascii"

    monkeypatch.setattr(fonts.sys, "stdout", Ascii)
    note = fonts.note_on_missing_fonts(NAME + "\udcff")
    assert note.isascii() and note.isprintable()
