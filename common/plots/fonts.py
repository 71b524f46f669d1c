"""Fonts for the text of figures: names in any script are drawn, or left out, but never shown as boxes."""

import functools
import logging
import re
import sys
import unicodedata
from pathlib import Path

# preferred among the installed fonts that have what matplotlib's own font lacks; the others follow by name
PREFERRED = (
    "Noto Sans CJK SC", "Noto Sans CJK", "Source Han Sans", "Noto Sans SC", "WenQuanYi", "PingFang", "Hiragino Sans GB",
    "Heiti", "Microsoft YaHei", "SimHei", "SimSun", "Arial Unicode MS", "Noto Sans",
)  # fmt: skip
LEFT_OUT = "\N{HORIZONTAL ELLIPSIS}"  # in the place of characters that no font has
NOT_DRAWN = ("Cc", "Cs", "Cn", "Zl", "Zp")  # Unicode categories: control characters, halves of characters, ...


def make_drawable(figure):
    """Give each text of a finished figure the fonts that it needs, and leave out the characters that no font has.

    Args:
        figure: matplotlib figure.

    Returns:
        str, the characters that were left out; empty for most figures.
    """
    from matplotlib.text import Text
    from matplotlib.ticker import FixedLocator

    left_out = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            # other labels are numbers, made while the figure is drawn
            labels = axis.get_ticklabels() if isinstance(axis.get_major_locator(), FixedLocator) else []
            words = [label.get_text() for label in labels]
            families, lacking = fonts_for("".join(words))
            if families:
                axis.set_tick_params(labelfontfamily=[*labels[0].get_fontfamily(), *families])
            if lacking:
                axis.set_ticklabels([without(word, lacking) for word in words], parse_math=False)
            left_out |= set(lacking)
    for text in figure.findobj(Text):
        families, lacking = fonts_for(text.get_text())
        if families:
            text.set_fontfamily([*text.get_fontfamily(), *families])
        if lacking:
            text.set_text(without(text.get_text(), lacking))
        left_out |= set(lacking)
    return "".join(sorted(left_out))


def without(text, characters):
    """Return a text with an ellipsis in the place of some characters."""
    return re.sub(f"[{re.escape(characters)}]+", LEFT_OUT, text)


def note_on_missing_fonts(characters):
    """Return the line that says what no font has, and which package would help if there is one.

    Args:
        characters: str, the characters that were left out.
    """
    is_east_asian = any(unicodedata.east_asian_width(character) in "WF" for character in characters)
    is_in_a_font = any(unicodedata.category(character) not in NOT_DRAWN for character in characters)
    package = "fonts-noto-cjk" if is_east_asian else "fonts-noto"
    advice = f" (on Debian and Ubuntu: apt install {package})" if is_in_a_font else ""
    shown = characters[:20] + LEFT_OUT * (len(characters) > 20)
    if not shown.isprintable():
        shown = ascii(shown)
    shown = shown.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(sys.stdout.encoding or "utf-8")
    return f"no font here has {shown}, so it is left out{advice}"


def fonts_for(text):
    """Return the font families that a text needs besides matplotlib's own, and the characters that no font has.

    Args:
        text: str.

    Returns:
        (list of str, str); ([], "") for most texts.
    """
    if text.isascii() and text.isprintable():
        return [], ""
    from matplotlib.font_manager import FontProperties, findfont

    own_font = findfont(FontProperties())
    lacking = "".join(sorted({c for c in text if c != "\n" and not _has(own_font, c)}))
    families = []
    for family, path in _installed_fonts() if lacking else ():
        rest = "".join(c for c in lacking if not _has(path, c))
        if rest != lacking:
            families.append(family)
            lacking = rest
        if not lacking:
            break
    return families, lacking


@functools.cache
def _installed_fonts():
    """Return a list of (family, path of its regular font), the preferred families first.

    It holds the fonts that are on the disk now: matplotlib's own list may be older than a font. Fonts that come with
    matplotlib are not in it: the others of them are for formulas, or draw a box for every character.
    """
    import matplotlib
    from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager

    # it would report every family that has no regular weight
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    listed = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in listed:
            try:
                fontManager.addfont(path)
            except Exception:  # damaged, or of a kind that matplotlib cannot draw
                continue
    families = {entry.name for entry in fontManager.ttflist}
    paths = {family: findfont(FontProperties(family=[family])) for family in families}  # a str would be a pattern
    own = matplotlib.get_data_path()
    families = [family for family, path in paths.items() if not Path(path).is_relative_to(own)]
    return [(family, paths[family]) for family in sorted(families, key=_preference)]


def _preference(family):
    """Return the sort key of a font family."""
    rank = next((i for i, name in enumerate(PREFERRED) if family.startswith(name)), len(PREFERRED))
    return rank, family


@functools.lru_cache(4096)
def _has(path, character):
    """Return whether a font can draw a character."""
    from matplotlib.font_manager import get_font

    if unicodedata.category(character) in NOT_DRAWN:
        return False
    try:
        return get_font(path).get_char_index(ord(character)) != 0
    except Exception:  # a damaged font
        return False
