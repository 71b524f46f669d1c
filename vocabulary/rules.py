"""The rules that a term must obey, as data: `rules.toml`."""

import functools
import itertools
import tomllib
from pathlib import Path

from common.errors import UserError

MASK = "\ufffd"  # stands for the characters of an exception


RULES = Path(__file__).with_name("rules.toml")
LISTS = ("exceptions", "anywhere", "first", "last", "suffixes")


@functools.cache
def read_rules(path=RULES):
    """Return the content of `rules.toml`.

    Raises:
        UserError: if it cannot be read, if a list is missing, or if one holds anything but text that is not empty.
    """
    try:
        rules = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    for name in LISTS:
        words = rules.get(name)
        if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
            raise UserError(f"{path}: {name} must be a list of words in quotes, none of them empty")
    if type(rules.get("least_length")) is not int:
        raise UserError(f"{path}: least_length must be a whole number")
    return rules


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
