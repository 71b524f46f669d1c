"""Read texts: csv files and plain lines, alone or in a zip, tar or folder, in UTF-8 or GB18030.

`read_texts` reads line by line, so a file may be larger than memory. Rows that cannot be used are skipped, and one
printed line counts and names them. This module does not import Keras, so that `--help` stays fast.
"""

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from common.data.catalog import search_dirs
from common.data.file_types import printable
from common.data.text_files import MAX_LINE, WHAT, text_files
from common.errors import UserError

CORPUS = "https://github.com/SophonPlus/ChineseNlpCorpus"
# name -> (file to get and its site, what it may be called below a searched folder)
TEXTS = {
    "couplet": (
        "couplet.tar.gz from https://github.com/wb14123/couplet-dataset/releases",
        ("couplet.tar.gz", "couplet.tar.xz", "couplet.tar", "couplet.zip", "couplet"),
    ),
    **{
        name: (f"{stem}{suffix} from {CORPUS}", tuple(stem + end for end in (".csv", ".zip", "")))
        for name, stem, suffix in (
            ("hotel", "ChnSentiCorp_htl_all", ".csv"),
            ("shopping", "online_shopping_10_cats", ".zip"),
            ("waimai", "waimai_10k", ".csv"),
        )
    },
}
IN_FOLDER = {
    "couplet": "train/in.txt"
}  # a folder of the right name counts only with this file: runs have such names too
TEXT_COLUMNS = ("review", "text", "content", "sentence", "comment")
LABEL_COLUMNS, CATEGORY_COLUMNS = ("label",), ("cat", "category")
HEAD = 1 << 20  # bytes by which the encoding is told
MAX_ROW = 1000  # lines of a row in quotes
N_NAMED = 3  # of the skipped rows


class Text(NamedTuple):
    """One text, such as a review or a line of a poem.

    Args:
        text: not empty, without blanks at its ends.
        label: as it stands in the column `label`; "" without one.
        category: as it stands in the column `cat`; "" without one.
        file: name of the file inside its source.
        number: of its first line in that file, from 1. Skipped rows count too, so the numbers align files of pairs.
    """

    text: str
    label: str = ""
    category: str = ""
    file: str = ""
    number: int = 0


class BadRow(Exception):
    """A row that is skipped; the text says why."""


def find_text(name: str, data_dir=None) -> Path:
    """Return PATH of "text:PATH", or the file or folder of a known collection of texts, as `locate_text` finds it.

    Raises:
        UserError: if it is missing; the message says which file to get and where to put it.
    """
    if name.startswith("text:"):
        return Path(name.removeprefix("text:"))
    path = locate_text(name, data_dir)
    if path is None:
        searched = ", ".join(str(folder) for folder in search_dirs(data_dir))
        raise UserError(f"{name} is not in {searched}: get {TEXTS[name][0]}, and put it into one of these folders")
    return path


def locate_text(name: str, data_dir=None) -> Path | None:
    """Return the file or folder of a known collection of texts, or None if it is missing.

    It is looked for in `data_dir`, `$DATA_DIR` and the Keras cache, and in the folders just below them.

    Args:
        name: a key of `TEXTS`.
        data_dir: folder to search first (default None).
    """
    if name not in TEXTS:
        raise UserError(f"unknown text {name!r}: allowed are {', '.join(TEXTS)}")
    for folder in search_dirs(data_dir):
        for file_name in TEXTS[name][1]:
            for path in (folder / file_name, *sorted(folder.glob(f"*/{file_name}"))):
                if path.exists() and (not path.is_dir() or (path / IN_FOLDER.get(name, "")).exists()):
                    return path
    return None


def read_texts(path, files=()) -> Iterator[Text]:
    """Yield the texts of a file, archive or folder, in the order of its files and lines.

    A csv file has a header; its texts are in the column `review` (or `text`, `content`, `sentence`, `comment`), and
    the columns `label` and `cat` are read too. Of a plain file each line that is not blank is a text. In archives and
    folders only files named .csv and .txt are read. The encoding, UTF-8 or GB18030, is told for each file.

    Args:
        path: a file, an archive (told by its content) or a folder.
        files: names of the files to read, in lower case (default all).

    Raises:
        UserError: if the source is missing, damaged or no text, if it holds no text, or if more than half of its rows
            cannot be used. Less than that is skipped, counted and named in a printed line at the end.
    """
    path = Path(os.path.expanduser(path))
    n_good, n_bad, n_files, named = 0, 0, 0, []
    for name, lines in text_files(path):
        if files and os.path.basename(name).lower() not in files:
            continue
        n_files += 1
        rows_of = _csv_rows if name.lower().endswith(".csv") else _plain_rows
        for number, row in rows_of(lines, name if name == path.name else f"{path.name}: {name}"):
            if isinstance(row, BadRow):
                n_bad += 1
                if n_bad <= N_NAMED:
                    place = f"line {number}" if name == path.name else f"{name} line {number}"
                    named.append(f"{place} ({row})")
            else:
                n_good += 1
                yield Text(*row, name, number)
    bad = f"{n_bad} of {n_good + n_bad} rows: {', '.join(named)}" + f", and {n_bad - N_NAMED} more" * (n_bad > N_NAMED)
    shown = printable(path.name)
    if not n_files:
        what = f"a folder or archive with {' and '.join(files)}" if files else WHAT
        raise UserError(f"{shown} holds no {' or '.join(files) or '.csv or .txt file'}: give {what}")
    if n_bad > n_good:
        raise UserError(f"{shown} cannot be used for {bad}: mend the file, or give another one")
    if not n_good:
        raise UserError(f"{shown} holds no text: give {WHAT}")
    if n_bad:
        print(f"{shown}: skipped {bad}", flush=True)


def encoding_of(lines: Iterable[bytes]) -> str:
    """Return "utf-8" or "gb18030": UTF-8 if half of the lines that are not ASCII can be decoded so.

    A line of Chinese in GB18030 is hardly ever valid in UTF-8. The reverse is common.
    """
    lines = [line for line in lines if not line.isascii()]
    return "utf-8" if 2 * sum(map(_is_utf8, lines)) >= len(lines) else "gb18030"


def _is_utf8(line):
    try:
        line.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def _decoded(lines, name):
    """Yield the lines of a file as str, or as `BadRow` if they cannot be decoded."""
    first, size = [], 0
    for line in lines:
        first.append(line)
        size += len(line)
        if size >= HEAD:
            break
    if first and first[0].startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{printable(name)} is in UTF-16: save it in UTF-8")
    if any(b"\0" in line for line in first):
        raise UserError(f"{printable(name)} is no text: give {WHAT}")
    encoding = encoding_of(first)
    for line in chain(first, lines):
        try:
            yield line.decode(encoding).replace("\ufeff", "")
        except UnicodeDecodeError:
            yield BadRow(f"not {encoding}")


def _plain_rows(lines, name):
    """Yield (number, (text,) + no label and category) for each line that is not blank, or (number, `BadRow`)."""
    for number, line in enumerate(_decoded(lines, name), 1):
        if isinstance(line, BadRow):
            yield number, line
        elif line := line.strip():
            yield number, (line, "", "")


def _csv_rows(lines, name):
    """Yield (number, (text, label, category)) for each row after the header, or (number, `BadRow`)."""
    columns = None
    for number, row in csv_rows(lines, name):
        if columns is None and not isinstance(row, BadRow):
            n, columns = len(row), _columns(row, name)
        elif isinstance(row, BadRow):
            yield number, row
        elif len(row) != n:
            yield number, BadRow(f"{len(row)} column{'s' * (len(row) != 1)} in place of {n}")
        else:
            fields = tuple("" if i is None else row[i].strip() for i in columns)
            yield number, fields if fields[0] else BadRow("empty")


def _columns(header, name):
    """Return the indices of text, label and category in the header of a csv file; None for a missing label."""
    header = [field.strip().lower() for field in header]
    index = lambda names: next((header.index(name) for name in names if name in header), None)
    if index(TEXT_COLUMNS) is None:
        raise UserError(
            f"{printable(name)} has no column {' or '.join(TEXT_COLUMNS)}: name it in the first line. "
            f"Received: {printable(','.join(header))[:100]}"
        )
    return index(TEXT_COLUMNS), index(LABEL_COLUMNS), index(CATEGORY_COLUMNS)


def csv_rows(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield (number, fields) for each row of a csv file, the header too, or (number, `BadRow`).

    Args:
        lines: of the file, as `common.data.text_files.text_files` gives them.
        name: of the file, for errors.

    Raises:
        UserError: if the file is in UTF-16 or no text.
    """
    return _split_rows(_decoded(lines, name))


def _split_rows(lines):
    """Yield (number, fields) for each row of a csv file, or (number, `BadRow`); blank lines are passed over.

    A row in quotes may have many lines. If its quote does not end within `MAX_ROW` lines, its first line alone is bad.
    """
    csv.field_size_limit(MAX_ROW * MAX_LINE)
    numbered, pending = enumerate(lines, 1), deque()  # pending: lines that were read ahead
    while True:
        number, line = pending.popleft() if pending else next(numbered, (0, None))
        if line is None:
            return
        if isinstance(line, BadRow):
            yield number, line
            continue
        if not line.strip():
            continue
        if _is_open(line):
            ahead = _lines_to_the_quote(numbered, pending)
            if ahead is None:
                yield number, BadRow("a quote without an end")
                continue
            line = "".join([line, *ahead])
        try:
            yield number, next(csv.reader([line]))
        except csv.Error as error:
            yield number, BadRow(str(error).split(" - ")[0])


def _is_open(line):
    """Return whether a line ends inside quotes."""
    if '"' not in line:
        return False
    try:
        next(csv.reader([line], strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _lines_to_the_quote(numbered, pending):
    """Take the lines up to the one that ends the quotes, and return them; or None, and leave them in `pending`."""
    for i in range(MAX_ROW):
        if i == len(pending):
            pending.append(next(numbered, (0, None)))
        line = pending[i][1]
        if line is None or isinstance(line, BadRow):
            return None
        if line.count('"') % 2:
            return [pending.popleft()[1] for _ in range(i + 1)]
    return None
