"""Read couplets in the form of the public data set."""

import os
from pathlib import Path

from common.data.file_types import printable
from common.data.text import N_NAMED, read_texts
from common.data.text_files import text_files
from common.errors import UserError

HALVES = ("in.txt", "out.txt")
BLANK = b" \t\r\n\v\f\xe3\x80\x80\xa1\xef\xbb\xbf"  # the wide blank in UTF-8 and in GB18030, the mark of UTF-8


def read_couplets(path) -> list[tuple[str, str, str]]:
    """Return couplets in the form of the public data set: `in.txt` holds the upper lines and `out.txt` the lower ones.

    Line n of one file belongs to line n of the other. Blanks between characters are left out.

    Args:
        path: a folder or archive with `in.txt` and `out.txt`, also in folders such as `train` and `test`.

    Returns:
        List of (folder of the two files inside the source, upper line, lower line), in the order of the files. A line
        whose other half is blank or cannot be read is left out; a printed line counts and names them.

    Raises:
        UserError: as `read_texts` does, if the two files of a folder end at different lines, or if no two lines belong
            together.
    """
    halves = {}  # (folder, number) -> {"in": line, "out": line}
    for text in read_texts(path, HALVES):
        folder, name = os.path.split(text.file)
        halves.setdefault((folder, text.number), {})[name.lower()] = "".join(text.text.split())
    refuse_unequal_lengths(path)  # after the encoding, because a wrong one has wrong ends of lines
    couplets = [
        (folder, both["in.txt"], both["out.txt"])
        for (folder, _), both in halves.items()
        if {"in.txt", "out.txt"} <= both.keys()
    ]
    alone = [
        f"line {number} of {os.path.join(folder, *both)}" for (folder, number), both in halves.items() if len(both) == 1
    ]
    if couplets and alone:
        more = f", and {len(alone) - N_NAMED} more" * (len(alone) > N_NAMED)
        print(f"left out {len(alone)} without another half: {', '.join(alone[:N_NAMED])}{more}", flush=True)
    if not couplets:
        raise UserError(
            f"{printable(Path(path).name)} holds no couplets: give a folder or archive with in.txt and out.txt"
        )
    return couplets


def refuse_unequal_lengths(path):
    """Raise UserError if the `in.txt` and `out.txt` of a folder end at different lines: then lines would be mismatched.

    Blank lines at the end do not count.
    """
    ends = {}  # folder -> {"in.txt": number of its last line that is not blank, "out.txt": ...}
    for file, lines in text_files(Path(os.path.expanduser(path))):
        folder, name = os.path.split(file)
        if name.lower() in HALVES:
            number = max((n for n, line in enumerate(lines, 1) if line.strip(BLANK)), default=0)
            ends.setdefault(folder, {})[name.lower()] = number
    for folder, numbers in ends.items():
        if len(set(numbers.values())) > 1:
            upper, lower = (f"{numbers[name]:,} lines in {os.path.join(folder, name)}" for name in HALVES)
            raise UserError(f"{upper}, but {lower}: line n of one must answer line n of the other, so mend them")
