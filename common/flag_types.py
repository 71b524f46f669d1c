"""Checked types of command-line flags: numbers with bounds, folders, images and data sets.

A type takes the text that the user typed and returns the value of the flag. Wrong text raises
`argparse.ArgumentTypeError`, which the parser shows as one line.
"""

import difflib
import os
import re
import stat
from argparse import ArgumentTypeError
from pathlib import Path

from common.data.archives import ARCHIVES
from common.data.catalog import DATASETS, NAMES
from common.data.readers import is_image_file
from common.data.text import TEXTS

SIZES = (16, 32, 64, 128, 256, 512)  # powers of 2: the stride-2 networks halve an image down to 4 x 4
DOWNLOADS = {os.path.basename(name) for spec in DATASETS.values() for name in spec.filenames}
OWN = ("folder:", "text:", "spectra:")  # what --dataset begins with for the user's own files
PRETRAINED = Path(__file__).parents[1] / "pretrained"  # a folder for each trained network that comes with this code
MAX_NAME, MAX_PATH = 255, 3500  # bytes; Linux allows 255 and 4095, and run directories add to the path


class IntRange:
    """Whole numbers from `low` to `high`, both included, in ASCII digits.

    Args:
        low, high: ints. `high` is far above any value that makes sense.
    """

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, text):
        if not re.fullmatch(r"[0-9]+", text) or (len(text) < 20 and int(text) < self.low):
            raise ArgumentTypeError(f"{shown(text)} is not a whole number of at least {self.low}")
        if len(text) >= 20 or int(text) > self.high:
            raise ArgumentTypeError(f"{shown(text)} is too large: at most {self.high}")
        return int(text)


class FloatRange:
    """Numbers from `low` to `high`, both included, in ASCII digits.

    Args:
        low, high: numbers.
    """

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __call__(self, text):
        is_number = re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
        if not is_number or not self.low <= float(text) <= self.high:
            raise ArgumentTypeError(f"{shown(text)} is not a number from {self.low} to {self.high}")
        return float(text)


positive_int = IntRange(1, 1_000_000_000)  # steps and the like
nonnegative_int = IntRange(0, 1_000_000_000)
sample_int = IntRange(1, 10_000_000)  # images or points; the largest data set has 3 million images
batch_int = IntRange(1, 1_000_000)
text_size = IntRange(2, 65_536)  # characters
width_int = IntRange(1, 65_536)  # units or channels of a layer, and the length of a latent vector
count_int = IntRange(1, 1000)  # number of layers or blocks, of steps in a round, of seeds or of processes
float_in = FloatRange


def shown(text):
    """Return a text in quotes as an error shows it: in ASCII if it is not UTF-8, and shortened if it is long."""
    if len(text) > 100:
        text = f"{text[:60]}...{text[-20:]}"
    return f"'{text}'" if text.isprintable() else ascii(text)


def image_size(text, sizes=SIZES):
    """Return the value of --size as an int; `sizes` are the allowed ones, in pixels."""
    if text not in map(str, sizes):
        raise ArgumentTypeError(f"{shown(text)} is not one of {', '.join(map(str, sizes))}")
    return int(text)


def part(text):
    """Return (I, N) of a text such as "2/8", part I of N."""
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ArgumentTypeError(f"{shown(text)} is no part: write 2/8 for the second of eight parts")
    return int(match[1]), int(match[2])


def nonempty(text):
    """Return a text that has more than spaces."""
    if not text.strip(" ,"):
        raise ArgumentTypeError(f"{shown(text)} is empty; give a value, or omit the flag")
    return text


def existing_folder(text):
    """Return the path of a folder that can be read, with ~ expanded."""
    path = _expand(text)
    if not stat.S_ISDIR(_mode(path, text)):
        raise ArgumentTypeError(f"{shown(text)} is not a folder; name a folder")
    return path


def run_folder(text):
    """Return the path of a run directory, with ~ expanded."""
    path = existing_folder(text)
    if not os.path.isfile(os.path.join(path, "config.json")):
        raise ArgumentTypeError(f"{shown(text)} is not the folder of a run: it has no config.json")
    return path


def trained_run(text):
    """Return the path of a run directory, or of the entry of `pretrained/` that is named, as in "ogan-lfw-32"."""
    is_entry = re.fullmatch(r"[\w-]{1,100}", text) and (PRETRAINED / text / "config.json").is_file()
    return str(PRETRAINED / text) if is_entry and not os.path.exists(text) else existing_folder(text)


def data_folder(text):
    """Return the path of --data-dir, with ~ expanded: a folder that can be read, or a known download itself."""
    path = _expand(text)
    mode = _mode(path, text)
    is_download = stat.S_ISREG(mode) and os.path.basename(path) in DOWNLOADS
    if not stat.S_ISDIR(mode) and not is_download:
        raise ArgumentTypeError(f"{shown(text)} is not a folder; name the folder that holds the data sets")
    return path


def script_path(text):
    """Return the path of a script in Python that can be read, with ~ expanded."""
    path = _expand(text)
    if not stat.S_ISREG(_mode(path, text)) or not path.endswith(".py"):
        raise ArgumentTypeError(f"{shown(text)} is not a script; name a file such as rsgan/train.py")
    beside = os.path.join(os.path.dirname(path), "common.py")
    if os.path.exists(beside):
        raise ArgumentTypeError(f"{shown(beside)} hides the package common from this script; rename that file")
    return path


def file_path(text):
    """Return the path of a file that can be read, with ~ expanded."""
    path = _expand(text)
    if not stat.S_ISREG(_mode(path, text)):
        raise ArgumentTypeError(f"{shown(text)} is not a file")
    return path


def images_path(text):
    """Return the path of a folder, archive or image that can be read, with ~ expanded and without "folder:"."""
    path = _expand(text.removeprefix("folder:"))
    mode = _mode(path, text)
    is_archive = stat.S_ISREG(mode) and os.path.realpath(path).lower().endswith(ARCHIVES)
    if not stat.S_ISDIR(mode) and not is_archive and not is_image_file(path):
        raise ArgumentTypeError(f"{shown(text)} is no folder, no archive ({', '.join(ARCHIVES)}) and no image")
    return path


def output_folder(text):
    """Return the path of a folder that exists or can be made, with ~ expanded."""
    path = _expand(text)
    try:
        absolute = os.path.abspath(path)
    except OSError:
        raise ArgumentTypeError(f"{shown(text)} cannot be made: the current folder does not exist") from None
    if max(len(os.fsencode(name)) for name in absolute.split(os.sep)) > MAX_NAME or len(absolute) > MAX_PATH:
        raise ArgumentTypeError(f"{shown(text)} is too long; name another folder")
    nearest = absolute
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    if not os.path.isdir(nearest):
        raise ArgumentTypeError(
            f"{shown(text)} is not a folder; name another one"
            if nearest == absolute
            else f"{shown(text)} cannot be made, because {shown(nearest)} is not a folder; name another one"
        )
    if not os.access(nearest, os.X_OK if nearest == absolute else os.W_OK | os.X_OK):
        what = "cannot be entered" if nearest == absolute else f"cannot be made in {shown(nearest)}"
        raise ArgumentTypeError(f"{shown(text)} {what}: Permission denied")
    return path


def dataset(text, toys=()):
    """Return the value of --dataset if it is a known data set, as typed.

    Args:
        text: str, a name or "folder:PATH".
        toys: names of 2-D data sets that are allowed besides the image data sets.
    """
    names = (*NAMES, *toys)
    if text in names:
        return text
    path = text.removeprefix("folder:")
    if path != text and path:
        images_path(path)
        return text
    hint = did_you_mean(text, names)
    if not hint and text and "\0" not in text and os.path.exists(os.path.expanduser(text)):
        hint = f"; did you mean folder:{text}?"
    raise ArgumentTypeError(f"{shown(text)} is not one of {', '.join(names)}, folder:PATH{hint}")


def text_dataset(text, drawn=(), known=tuple(TEXTS), prefix="text:", what="a .txt or .csv file"):
    """Return the value of --dataset of a script that trains on text, as typed.

    Args:
        text: str, a name, or the prefix and a path.
        drawn: names of texts that the script itself has, besides `known`.
        known: names of collections, by default those of `common.data.text`.
        prefix: str, what the user's own files begin with.
        what: str, what to give for the path, for the error.
    """
    names = (*drawn, *known)
    if text in names:
        return text
    path = text.removeprefix(prefix)
    if path != text and path:
        mode = _mode(_expand(path), path)
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise ArgumentTypeError(f"{shown(path)} is neither a file nor a folder; give {what}")
        return text
    hint = did_you_mean(text, names)
    if not hint and text and "\0" not in text and os.path.exists(os.path.expanduser(text)):
        hint = f"; did you mean {prefix}{text}?"
    raise ArgumentTypeError(f"{shown(text)} is not one of {', '.join(names)}, {prefix}PATH{hint}")


def did_you_mean(text, names):
    """Return "; did you mean X?" if one of some names is similar to a text, else ""."""
    similar = difflib.get_close_matches(text.lower(), names, 1)
    return f"; did you mean {similar[0]}?" if similar else ""


def _expand(text):
    """Return a path with ~ expanded, if it can be written to a file as UTF-8."""
    if not text.strip():
        raise ArgumentTypeError("the path is empty; name a folder, or omit the flag")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"{shown(text)} is not UTF-8; rename it") from None
    if "\0" in text:
        raise ArgumentTypeError(f"{shown(text)} is not a path")
    path = os.path.expanduser(text)
    if path.startswith("~") and not os.path.lexists(path):
        user = path.split(os.sep)[0]
        raise ArgumentTypeError(f"{shown(text)} is not a path: there is no user or folder {shown(user)}")
    return path


def _mode(path, text):
    """Return the file type of a path that exists and can be read, as `os.stat` gives it."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise ArgumentTypeError(f"{shown(text)} does not exist") from None
    except OSError as error:
        raise ArgumentTypeError(f"{shown(text)} cannot be read: {error.strerror}") from None
    needed = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
    if not os.access(path, needed):
        raise ArgumentTypeError(f"{shown(text)} cannot be read: Permission denied")
    return mode
