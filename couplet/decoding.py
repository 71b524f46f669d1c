"""Choose the lower line by the probabilities of its characters."""

import numpy as np

from common.data.file_types import printable
from common.errors import UserError
from couplet.data import MAX_LINE, to_numbers


def choose(logits, upper, temperature=0.0, top_k=None, rng=None):
    """Return lower lines, int (n, length). No character repeats the one above it, and none is unknown (number 0).

    Args:
        logits: (n, length, characters).
        upper: int (n, length).
        temperature: float, 0 for the most probable character; above, characters are drawn from p^(1 / temperature).
        top_k: int, draw from the most probable characters only (default all).
        rng: numpy generator, needed for a temperature above 0.
    """
    logits = np.array(logits, "float64")
    logits[..., 0] = -np.inf
    np.put_along_axis(logits, np.asarray(upper)[..., None], -np.inf, -1)
    if not temperature:
        return logits.argmax(-1)
    if top_k and top_k < logits.shape[-1]:
        least = np.partition(logits, -top_k, -1)[..., -top_k, None]
        logits = np.where(logits >= least, logits, -np.inf)
    return (logits / temperature + rng.gumbel(size=logits.shape)).argmax(-1)


def checked(line):
    """Return an upper line without the blanks in it.

    Args:
        line: str, as a user typed it.

    Raises:
        UserError: if nothing is left, or more than `MAX_LINE` characters.
    """
    line = "".join(line.split())
    if not line:
        raise UserError("the line is empty: write an upper line, such as 海上生明月")
    if len(line) > MAX_LINE:
        raise UserError(f"{printable(line[:20])}... has {len(line)} characters: give lines of at most {MAX_LINE}")
    return line


def unknown(line, alphabet):
    """Return the characters of a line that are not in the alphabet, sorted, as one string.

    Args:
        line: str.
        alphabet: str, the characters by number; number 0 stands for what is unknown.
    """
    return "".join(sorted(set(line) - set(alphabet[1:])))


def answers(tagger, alphabet, line, temperature=0.0, top_k=None, count=1, rng=None):
    """Return lower lines to one upper line, a list of `count` strings.

    Args:
        tagger: network, (1, length) -> logits (1, length, characters).
        alphabet: str, the characters by number; number 0 stands for what is unknown.
        line: str, of at most `MAX_LINE` characters.
        temperature: see `choose`.
        top_k: see `choose`.
        count: int, number of answers. Without a temperature all are the same.
        rng: see `choose`.
    """
    upper = to_numbers([(line, line)], alphabet)[:, 0]
    logits = tagger.predict_on_batch(upper)
    rows = [choose(logits, upper, temperature, top_k, rng)[0] for _ in range(count)]
    return ["".join(alphabet[i] for i in row) for row in rows]
