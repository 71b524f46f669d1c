"""Read the spectra of the contest, and others of that form: an index in csv, and a text file for every spectrum.

The index has a first line with the columns `id` and `type` (star, unknown, galaxy or qso). The flux of the spectrum
with the id 7 is in `7.txt`: numbers, divided by commas, blanks or lines. All spectra have the same wavelengths.
"""

from collections import Counter
from itertools import chain
from pathlib import Path

import numpy as np

from common.data.archives import ARCHIVES
from common.data.file_types import printable
from common.data.progress import progress_bar
from common.data.text import BadRow, csv_rows
from common.data.text_files import text_files
from common.errors import UserError
from spectra.simulator import CLASSES

ID_COLUMNS, TYPE_COLUMNS = ("id",), ("type", "label", "class")
N_NAMED = 3  # of the spectra that are left out
FORM = "an index (.csv) with the columns id and type, and a file ID.txt for every spectrum"


class LeftOut:
    """Counts what is left out, and names the first few."""

    def __init__(self):
        self.n, self.named = 0, []

    def add(self, name, reason):
        """Count one, and note why it is left out."""
        self.n += 1
        if self.n <= N_NAMED:
            self.named.append(f"{printable(str(name))} ({reason})")

    def tell(self, source, n_good, what="spectra"):
        """Print a line that names what is left out, if anything is; refuse a source that is mostly left out."""
        further = f", and {self.n - N_NAMED} more" * (self.n > N_NAMED)
        line = f"{self.n} of {self.n + n_good} {what}: {', '.join(self.named)}{further}"
        if self.n > n_good:
            raise UserError(f"{source} cannot be used for {line}: mend it, or give another one")
        if self.n:
            print(f"{source}: left out {line}", flush=True)


def read_spectra(path):
    """Return the flux, float32 (n, points), and the labels, int (n,), of all spectra of a source.

    Args:
        path: a folder or an archive, or a folder that holds archives too. Only .csv and .txt files are read.

    Raises:
        UserError: if there is no index or no spectrum, if two spectra have one id, if a file is damaged, or if most
            rows or spectra cannot be used. Others are left out and named in a printed line.
    """
    path, source = Path(path), printable(Path(path).name)
    types, left_out = read_index(path), LeftOut()
    advance = progress_bar(len(types), "reading spectra:")
    fluxes, labels, names, without_type, seen = [], [], [], [], set()
    for name, lines in _files(path, ".txt"):
        stem = Path(name).stem
        if stem in seen:
            raise UserError(
                f"{source} has two files {printable(stem)}.txt, {printable(name)} is one: keep one of each id"
            )
        label = types.pop(stem, None)
        if label is None:
            without_type.append(printable(name))
            continue
        seen.add(stem)
        try:
            fluxes.append(parse_flux(b" ".join(lines)))
            labels.append(label)
            names.append(name)
        except ValueError as error:
            left_out.add(name, error)
        advance(1)
    for missing in types:
        left_out.add(f"{missing}.txt", "missing")
    lengths = Counter(map(len, fluxes))
    usual = lengths.most_common(1)[0][0] if lengths else 0
    for name, length in zip(names, map(len, fluxes), strict=True):
        if length != usual:
            left_out.add(name, f"{length} numbers, others have {usual}")
    labels = [label for flux, label in zip(fluxes, labels, strict=True) if len(flux) == usual]
    if not labels and not left_out.n:
        raise UserError(f"{source} holds no spectrum of its index: give {FORM}")
    left_out.tell(source, len(labels))
    if without_type:
        named = ", ".join(without_type[:N_NAMED]) + ", ..." * (len(without_type) > N_NAMED)
        print(f"{source}: {len(without_type)} spectra have no type in the index, and are not used: {named}", flush=True)
    return np.stack([flux for flux in fluxes if len(flux) == usual]), np.array(labels)


def read_index(path, needed=True):
    """Return {id: class index} of all .csv files of a source that have a column of types.

    Args:
        path: Path of the source.
        needed: bool, refuse a source without such a file; else it gives {}.
    """
    source = printable(path.name)
    types, left_out, headers = {}, LeftOut(), []
    for name, lines in _files(path, ".csv"):
        columns = None
        for number, row in csv_rows(lines, name):
            if isinstance(row, BadRow):
                left_out.add(f"{name} line {number}", row)
            elif columns is None:
                columns, width = index_columns(row), len(row)
                headers.append(",".join(row))
                if columns is None:  # a list of spectra that are to be classified, say
                    break
            elif len(row) != width:
                left_out.add(f"{name} line {number}", f"{len(row)} columns in place of {width}")
            else:
                key, kind = (row[i].strip() for i in columns)
                if kind.lower() not in CLASSES:
                    left_out.add(f"{name} line {number}", f"type {printable(kind)[:20]!r}, not {', '.join(CLASSES)}")
                elif types.setdefault(key, CLASSES.index(kind.lower())) != CLASSES.index(kind.lower()):
                    left_out.add(f"{name} line {number}", f"a second type for {printable(key)[:20]}")
    if needed and not types and not left_out.n:
        received = f"; its .csv begins with {printable(headers[0])[:60]}" if headers else ""
        raise UserError(f"{source} has no index{received}: give {FORM}")
    left_out.tell(source, len(types), "rows of the index")
    return types


def index_columns(header):
    """Return the indices of the columns of ids and of types, or None if one is missing."""
    header = [field.strip().lower() for field in header]
    found = [next((header.index(n) for n in names if n in header), None) for names in (ID_COLUMNS, TYPE_COLUMNS)]
    return None if None in found else found


def parse_flux(content):
    """Return the numbers of a text file, float32 (points,).

    Args:
        content: bytes.

    Raises:
        ValueError: if it is empty or holds something else than finite numbers.
    """
    words = content.replace(b",", b" ").replace(b"\xef\xbb\xbf", b"").split()
    if not words:
        raise ValueError("empty")
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            flux = np.array(words).astype("float32")
    except (ValueError, UnicodeDecodeError):
        raise ValueError("not all of it are numbers") from None
    if not np.isfinite(flux).all():
        raise ValueError("not all of its numbers are finite")
    return flux


def _files(path, suffix):
    """Return an iterator over (name, lines) of the files with a suffix in a source, and in the archives in it."""
    archives = sorted(p for p in path.rglob("*") if p.name.lower().endswith(ARCHIVES)) if path.is_dir() else []
    found = chain(text_files(path), *(text_files(archive) for archive in archives))
    return ((name, lines) for name, lines in found if name.lower().endswith(suffix))
