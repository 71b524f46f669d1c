"""Check what people, older versions and other programs wrote: the articles' lists (TOML) and the files of runs (JSON).

A check is called as `check(value, name, errors)`. It returns the sound part of `value`, or `INVALID` if nothing is
sound. It adds a line to the list `errors` for everything that is wrong. `name` says where the value stands.
"""

import json
import math
import os

from common.errors import UserError

INVALID = object()


def read_file(path, parse):
    """Return the parsed content of a text file.

    Args:
        path: path of the file.
        parse: function of a str, such as `json.loads`.

    Raises:
        UserError: if the file cannot be read or parsed. The text says why; it does not name the file.
    """
    try:
        if not os.path.isfile(path):  # reading a pipe would wait for ever
            raise UserError("it is a folder" if os.path.isdir(path) else "it is not a file")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if not text.strip():
            raise UserError("it is empty")
        return parse(text)
    except OSError as error:
        raise UserError(error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise UserError("it is not UTF-8 text") from None
    except RecursionError:
        raise UserError("it is nested too deeply") from None
    except ValueError as error:
        raise UserError(f"it cannot be parsed: {error}") from None


def summarise(errors):
    """Return one line for a list of errors: the first one and the number of the others."""
    first = " ".join(errors[0].split())  # a name in it may hold a line break
    return first + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")


def describe(value):
    """Return a short text for a value of any type and size."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 1e15 else "a huge number"
    if isinstance(value, str):
        return json.dumps(value if len(value) <= 40 else f"{value[:40]}...", ensure_ascii=not value.isprintable())
    if isinstance(value, list | dict):
        return f"a {type(value).__name__}"
    return str(value)  # a float, or a date of TOML


def is_number(value, low=-math.inf, high=math.inf):
    """Return whether a value is a finite number from `low` to `high`. NaN, True and an int beyond 1e308 are none."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high and abs(value) < 1e308
    )


def is_text(value):
    """Return whether a value is a str that UTF-8 can encode: JSON may hold half of a surrogate pair."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def is_inner_path(value):
    """Return whether a value is a relative path that does not lead out of its folder."""
    return is_text(value) and bool(value.strip()) and not value.startswith("/") and ".." not in value.split("/")


class Scalar:
    """Check of a value that has no parts.

    Args:
        expected: str, what the value must be, for the error.
        is_valid: function of a value of any type that returns a bool.
    """

    def __init__(self, expected, is_valid):
        self.expected, self.is_valid = expected, is_valid

    def __call__(self, value, name, errors):
        if self.is_valid(value):
            return value
        errors.append(f"{name} must be {self.expected}, received {describe(value)}")
        return INVALID


class _Container:
    """Check of a value with parts; a subclass says in `parts` how it checks them."""

    python_type, expected = None, ""

    def __call__(self, value, name, errors):
        if not isinstance(value, self.python_type):
            errors.append(f"{name} must be {self.expected}, received {describe(value)}")
            return INVALID
        return self.parts(value, name, errors)


class ListOf(_Container):
    """Check of a list.

    Args:
        item: check of every item.
        expected: str, what the value must be, for the error.
        empty: bool, allow an empty list.
    """

    python_type = list

    def __init__(self, item, expected="a list", empty=True):
        self.item, self.expected, self.empty = item, expected, empty

    def item_name(self, name, i, item):
        """Return the name of item number `i`, counted from 0."""
        return f"{name}: item {i + 1}"

    def parts(self, value, name, errors):
        """Return the sound items."""
        if not value and not self.empty:
            errors.append(f"{name} must be {self.expected}, received an empty list")
            return INVALID
        items = [self.item(item, self.item_name(name, i, item), errors) for i, item in enumerate(value)]
        return [item for item in items if item is not INVALID]


class DictOf(_Container):
    """Check of a dict with any text as keys.

    Args:
        item: check of every value.
        fill: what stands for an unsound value in the result. Without it, the key is left out.
    """

    python_type, expected = dict, "a dict"

    def __init__(self, item, fill=INVALID):
        self.item, self.fill = item, fill

    def parts(self, value, name, errors):
        """Return the sound entries."""
        sound = {}
        for key, content in value.items():
            if not is_text(key) or not key:
                errors.append(f"{name} has the key {describe(key)}, which is no text")
                continue
            checked = self.item(content, f"{name}: {describe(key)}", errors)
            sound[key] = self.fill if checked is INVALID else checked
        return {key: content for key, content in sound.items() if content is not INVALID}


class Table(_Container):
    """Check of a dict with known keys.

    Args:
        required: dict key -> check.
        optional: dict key -> check.
        open_ended: bool, leave other keys out without an error.
        expected: str, what the value must be, for the error.
    """

    python_type = dict

    def __init__(self, required, optional, open_ended=False, expected="a dict"):
        self.required, self.checks, self.open_ended = required, required | optional, open_ended
        self.expected = expected

    def parts(self, value, name, errors):
        """Return the sound entries, in the order of the checks."""
        prefix = f"{name}: " if name else ""
        for key in value:
            if not self.open_ended and key not in self.checks:
                known = ", ".join(self.checks)
                errors.append(f"{prefix}the key {describe(key)} is unknown; there are {known}")
        sound = {}
        for key, check in self.checks.items():
            if key in value:
                sound[key] = check(value[key], prefix + key, errors)
            elif key in self.required:
                errors.append(f"{prefix}{key} is missing; it must be {check.expected}")
        return {key: content for key, content in sound.items() if content is not INVALID}
