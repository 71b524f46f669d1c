"""The rules that a term must obey, as data: `rules.toml`."""

import functools
import itertools
import tomllib
from pathlib import Path

MASK = "\ufffd"  # stands for the characters of an exception


@functools.cache
def read_rules():
    """Return the content of `rules.toml`."""
    return tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))


def is_term(word, rules=None):
    """Return whether a word may be a term.

    It has a Chinese character, enough characters, no digit at its start, no character twice in a row, and nothing that
    the lists of the rules forbid. The lists do not look at the parts of a word that are exceptions.

    Args:
        word: str.
        rules: dict, see `rules.toml` (default: that file).
    """
    rules = rules or read_rules()
    masked = word
    for allowed in rules["exceptions"]:
        masked = masked.replace(allowed, MASK * len(allowed))
    return (
        len(word) >= rules["least_length"]
        and any("\u3400" <= c <= "\u9fff" for c in word)
        and not word[0].isdigit()
        and all(a != b for a, b in itertools.pairwise(word))
        and masked[0] not in rules["first"]
        and masked[-1] not in rules["last"]
        and not masked.endswith(tuple(rules["suffixes"]))
        and not any(part in masked for part in rules["anywhere"])
    )
