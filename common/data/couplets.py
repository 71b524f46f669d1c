"""Read couplets in the form of the public data set."""

import os
from pathlib import Path

from common.data.file_types import printable
from common.data.text import read_texts
from common.errors import UserError


def read_couplets(path) -> list[tuple[str, str, str]]:
    """Return couplets in the form of the public data set: `in.txt` holds the upper lines and `out.txt` the lower ones.

    Line n of one file belongs to line n of the other. Blanks between characters are left out.

    Args:
        path: a folder or archive with `in.txt` and `out.txt`, also in folders such as `train` and `test`.

    Returns:
        List of (folder of the two files inside the source, upper line, lower line), in the order of the files. A line
        whose other half is missing is left out.

    Raises:
        UserError: as `read_texts` does, or if no two lines belong together.
    """
    halves = {}  # (folder, number) -> {"in": line, "out": line}
    for text in read_texts(path, ("in.txt", "out.txt")):
        folder, name = os.path.split(text.file)
        halves.setdefault((folder, text.number), {})[name.lower()] = "".join(text.text.split())
    couplets = [
        (folder, both["in.txt"], both["out.txt"])
        for (folder, _), both in halves.items()
        if {"in.txt", "out.txt"} <= both.keys()
    ]
    if not couplets:
        raise UserError(
            f"{printable(Path(path).name)} holds no couplets: give a folder or archive with in.txt and out.txt"
        )
    return couplets
