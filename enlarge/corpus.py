"""Texts as examples for a character model: rows of character numbers of one length."""

import numpy as np

from common.errors import UserError

DRAWN = "python_docs"  # name of --dataset besides those of `common.data.text`
UNKNOWN = "\ufffd"  # character number 0: every character that is too rare
MOST = 4000  # characters of the alphabet; of Chinese texts the rarest are left out


def text_of(dataset, data_dir=None):
    """Return a text.

    Args:
        dataset: str. "python_docs" is the language reference of Python, which Python's own `help()` reads: half a
            million characters of English and code, on every machine. Else a name of `common.data.text` or text:PATH.
        data_dir: folder to search first for a named text (default none).

    Raises:
        UserError: if it is missing or no text.
    """
    if dataset == DRAWN:
        try:
            from pydoc_data.topics import topics
        except ImportError:
            raise UserError("this Python has no documentation: use --dataset text:PATH with a text of yours") from None
        return "\n\n".join(topics[name] for name in sorted(topics))
    from common.data.couplets import read_couplets
    from common.data.text import find_text, read_texts

    path = find_text(dataset, data_dir)
    if dataset == "couplet":
        return "\n".join(f"{upper}，{lower}" for _, upper, lower in read_couplets(path))
    return "\n".join(text.text for text in read_texts(path))


def load_examples(dataset, size, data_dir=None):
    """Return a text as examples for training and for measuring, and its alphabet.

    Args:
        dataset: see `text_of`.
        size: int, characters that the model sees. An example has one more, which is only predicted.
        data_dir: see `text_of`.

    Returns:
        (train, held_out, alphabet): int32 arrays (examples, size + 1) of indices into `alphabet`, a str whose first
        character stands for all that it lacks. The last 5 % of the text are held out.

    Raises:
        UserError: if the text is missing, or too short for 20 examples.
    """
    text = text_of(dataset, data_dir)
    codes = np.frombuffer(text.encode("utf-32-le", errors="replace"), np.uint32)
    count = len(codes) // (size + 1)
    if count < 20:
        raise UserError(f"{dataset} has only {len(codes)} characters: lower --size from {size}, or take a longer text")
    characters, numbers, counts = np.unique(codes, return_inverse=True, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[: MOST - 1])
    index = np.zeros(len(characters), np.int32)
    index[kept] = np.arange(1, len(kept) + 1)
    rows = index[numbers][: count * (size + 1)].reshape(count, size + 1)
    held_out = max(1, count // 20)
    return rows[:-held_out], rows[-held_out:], UNKNOWN + "".join(map(chr, characters[kept]))
