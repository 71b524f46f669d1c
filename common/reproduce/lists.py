"""The articles' lists, `<article>/reproduction.toml`: what they must hold, and how they are read."""

import argparse
import os
import re
import shlex
import string
import tomllib

from common.cli import dataset
from common.data.text import TEXTS
from common.data.toy_2d import TOYS
from common.errors import UserError
from common.reproduce.schema import (
    DictOf,
    ListOf,
    Scalar,
    Table,
    describe,
    is_inner_path,
    is_number,
    read_file,
    summarise,
)

PRESETS = ("smoke", "quick", "paper")
VERDICTS = ("stands", "stands in part", "does not stand", "not measured")
PLACEHOLDERS = ("dataset", "preset", "out", "photos")
MAX_MINUTES = 1e8  # two centuries


def is_plain(value):
    """Return whether a value is a str without control characters. Line breaks and tabs are allowed."""
    return isinstance(value, str) and not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", value)


def is_name(value):
    """Return whether a value can be the name of a run: a folder name that fits into --only and between braces."""
    return isinstance(value, str) and bool(re.fullmatch(r"[\w-]{1,100}", value)) and value not in PLACEHOLDERS


def is_dataset(value):
    """Return whether a value is a data set that some script knows."""
    try:
        return is_plain(value) and dataset(value, (*TOYS, *TEXTS)) == value
    except argparse.ArgumentTypeError:
        return False


class Tables(ListOf):
    """Check of the tables `[[kind]]`, each of which has a key that identifies it.

    Args:
        kind: str.
        key: str, the identifying key.
        table: check of every table.
    """

    def __init__(self, kind, key, table):
        super().__init__(table, f"tables [[{kind}]]", empty=False)
        self.kind, self.key = kind, key

    def item_name(self, name, i, item):
        """Return the name of item number `i`, counted from 0."""
        label = item.get(self.key) if isinstance(item, dict) else None
        is_label = isinstance(label, str) and label.strip() and label.isprintable()
        return f'[[{self.kind}]] "{label[:60]}"' if is_label else f"[[{self.kind}]] number {i + 1}"


class Minutes:
    """Check of the duration of a run: a number, or a dict with a number for each preset."""

    expected = "a number of minutes above 0, or one for each preset: { quick = 2, paper = 60 }"
    number = Scalar(expected, lambda value: is_number(value, 1e-6, MAX_MINUTES))
    each = Scalar("a number of minutes above 0", number.is_valid)
    table = Table({"quick": each}, dict.fromkeys(PRESETS, each))

    def __call__(self, value, name, errors):
        return (self.table if isinstance(value, dict) else self.number)(value, name, errors)


TEXT = Scalar("text", lambda value: is_plain(value) and bool(value.strip()))
FLAGS = Scalar("text", is_plain)
NAME = Scalar(f"of letters, digits, - and _, and not {' or '.join(PLACEHOLDERS)}", is_name)
INNER_PATH = Scalar(
    'a path inside the folder of the run, without ".."', lambda value: is_plain(value) and is_inner_path(value)
)
PRESET = Scalar(f"one of {', '.join(PRESETS)}", lambda value: value in PRESETS)
VERDICT = Scalar(f"one of {', '.join(VERDICTS)}", lambda value: value in VERDICTS)
DATASET = Scalar("the name of a data set (see --dataset of the scripts)", is_dataset)
NUMBER = Scalar("a number", is_number)


def chinese(*keys):
    """Return the optional keys, with their check, that hold the Chinese texts of these keys."""
    return {f"{key}_zh": TEXT for key in keys}


ARTICLE = Table(
    {"title": TEXT, "place": NUMBER, "idea": TEXT, "links": DictOf(TEXT)},
    chinese("title", "idea"),
    expected="a table [article]",
)
RUN = Table(
    {
        "name": NAME,
        "command": TEXT,
        "folder": INNER_PATH,
        "leaves": ListOf(INNER_PATH, "a list of the files that the run must leave", empty=False),
        "minutes": Minutes(),
    },
    {**dict.fromkeys(("dataset", "also", "fallback"), DATASET), "after": TEXT}
    | {"photos": FLAGS, **dict.fromkeys(PRESETS, FLAGS)},
)
FIGURE = Table(
    {"caption": TEXT, "ours": TEXT},
    {"run": TEXT, "file": TEXT, "blog": TEXT, "committed": INNER_PATH, "kept": TEXT}
    | chinese("caption", "ours", "kept"),
)
CLAIM = Table({"says": TEXT, "verdict": VERDICT, "numbers": TEXT, "link": TEXT}, chinese("says", "numbers", "link"))
RESULT = Table(
    {"what": TEXT, "published": TEXT, "protocol": TEXT, "readme": TEXT},
    {"run": TEXT, "key": TEXT, "preset": PRESET, "steps": NUMBER} | chinese("what", "published", "protocol", "readme"),
)
LIST = Table(
    {"article": ARTICLE, "run": Tables("run", "name", RUN)},
    {
        "figure": Tables("figure", "caption", FIGURE),
        "claim": Tables("claim", "says", CLAIM),
        "number": Tables("number", "what", RESULT),
        "not_run": DictOf(TEXT),
    },
)


def read_lists(root):
    """Return {article folder: content of its `reproduction.toml`}, in the order of the report.

    Args:
        root: Path of the repository.

    Raises:
        UserError: if a file cannot be read, is not TOML, or holds something that it must not.
    """
    lists = {}
    for path in sorted(root.glob("*/reproduction.toml")):
        try:
            content = read_file(path, tomllib.loads)
            errors = []
            LIST(content, "", errors)
            errors = errors or [*_run_errors(content["run"]), *_reference_errors(content)]
            if errors:
                raise UserError(summarise(errors))
            if (path.parent / "common.py").exists():
                raise UserError("common.py beside it hides the package common from its scripts; rename that file")
        except UserError as error:
            raise UserError(f"cannot read {os.path.relpath(path, root)}: {error}") from None
        lists[path.parent.name] = content
    if not lists:
        raise UserError(f"no article in {root} has a reproduction.toml; write one as CONTRIBUTING.md shows")
    return dict(sorted(lists.items(), key=lambda item: item[1]["article"]["place"]))


def placeholders(text):
    """Return the names of the {placeholders} of a text.

    Raises:
        ValueError: if a brace is not closed, or a placeholder has a format or an attribute.
    """
    names = []
    for _, name, specification, conversion in string.Formatter().parse(text):
        if specification or conversion:
            raise ValueError(f"the placeholder {{{name}}} has a format")
        if name is not None:
            names.append(name)
    return names


def fill(text, values):
    """Return `text` with its {placeholders} replaced by `values`, a dict of str."""
    parts = string.Formatter().parse(text)
    return "".join(literal + ("" if name is None else values[name]) for literal, name, _, _ in parts)


def _run_errors(specs):
    """Yield what is wrong between the entries of runs that are sound one by one."""
    earlier = []
    for spec in specs:
        entry_name, name, after = f'[[run]] "{spec["name"]}"', spec["name"], spec.get("after")
        if name in earlier:
            yield f"{entry_name}: two runs have this name; change one"
        if after is not None and (after == name or after not in earlier):
            there_are = ", ".join(earlier) or "none"
            yield f"{entry_name}: after must name an earlier run of this list ({there_are}), received {describe(after)}"
        earlier.append(name)
        if "fallback" in spec and "dataset" not in spec:
            yield f"{entry_name}: fallback needs a dataset that it can replace"
        allowed = ["preset", *(["dataset"] if "dataset" in spec else []), *([after] if after else [])]
        for key in ("command", *PRESETS):
            if key in spec:
                yield from _text_errors(f"{entry_name}: {key}", spec[key], [*allowed, "out"], is_command=True)
        yield from _text_errors(f"{entry_name}: photos", spec.get("photos", ""), ["photos"], is_command=True)
        yield from _text_errors(f"{entry_name}: folder", spec["folder"], allowed)
        if after and f"{{{after}}}" in spec["folder"] and not spec["folder"].startswith(f"{{{after}}}"):
            yield f"{entry_name}: folder must begin with {{{after}}} if it uses it, received {spec['folder']}"


def _text_errors(entry_name, text, allowed, is_command=False):
    """Yield what is wrong with the quotes and placeholders of a text."""
    try:
        unknown = [name for name in placeholders(text) if name not in allowed]
        if unknown:
            there_are = ", ".join(f"{{{name}}}" for name in allowed)
            yield f"{entry_name}: there is no placeholder {{{unknown[0]}}} here; there are {there_are}"
        if is_command:
            shlex.split(text)
    except ValueError as error:
        yield f"{entry_name}: {error}; close every quote, and write {{{{ and }}}} for braces that are no placeholder"


def _reference_errors(content):
    """Yield what is wrong with the runs and files that figures and numbers name."""
    leaves = {spec["name"]: spec["leaves"] for spec in content["run"]}
    for kind, label, partners in (("figure", "caption", ["file"]), ("number", "what", ["key", "preset"])):
        for entry in content.get(kind, []):
            entry_name = f'[[{kind}]] "{entry[label][:60]}"'
            if missing := [key for key in ("run", *partners) if key not in entry and {"run", *partners} & entry.keys()]:
                yield f"{entry_name}: {missing[0]} is missing; run needs {' and '.join(partners)}, and they need run"
            elif "run" in entry and entry["run"] not in leaves:
                yield f'{entry_name}: there is no run "{entry["run"]}"; there are {", ".join(leaves)}'
            elif kind == "figure" and "run" in entry and entry["file"] not in leaves[entry["run"]]:
                yield f'{entry_name}: file {entry["file"]} is not among the leaves of run "{entry["run"]}"'
            elif kind == "figure" and "run" not in entry and "blog" not in entry:
                yield f"{entry_name}: it needs a run with a file, or a blog address"
