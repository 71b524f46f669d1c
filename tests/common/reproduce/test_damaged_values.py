"""A damaged value in a JSON file marks its run on the page in one line, and the page is written."""

import copy
import json

import pytest

from common.reproduce import report
from common.reproduce.record import read_record
from tests.helpers.finished_runs import ENTRY, FILES, NAMES, RECORD, run_cards
from tests.helpers.page import Page

# what replaces a value, as JSON
VALUES = {
    "null": "null",
    "number": "3",
    "text": '"text"',
    "list": "[]",
    "dict": "{}",
    "true": "true",
    "nan": "NaN",
    "infinite": "-Infinity",
    "int beyond floats": "1" + 400 * "0",
    "int of 5000 digits": 5000 * "1",
    "half a surrogate pair": '"\\ud800"',
    "nested list": 300 * "[" + 300 * "]",
    "nested dict": 300 * '{"a":' + "1" + 300 * "}",
    "nested too deeply": 100_000 * "[",
}
BREAKS_THE_FILE = {"int of 5000 digits", "nested too deeply"}
SCALARS = {"null", "number", "text", "list", "true", "missing"}
EVERYTHING = {*VALUES, "missing"} - BREAKS_THE_FILE
# last key of a path -> the replacements that are no damage
HARMLESS = {
    "metrics": {"dict"},
    "fid": {"number", "missing"},
    "references": EVERYTHING,
    "images": EVERYTHING,
    "versions": {"dict"},  # and it may be missing from results.json
    "keras": {"text", "missing"},
    "git_commit": {"null", "text", "missing"},
    "failed": {"dict", "missing"},
    "sgan-0": {"text", "missing"},
    "train_flags": {"list", "missing"},
    "seeds": {"number"},
    0: {"text", "missing"},  # a flag of train_flags
    "flags": {"dict"},
    "loss": SCALARS,
    "state": set(),
    "why": {"text", "missing"},
    "command": {"text", "missing"},
    "seconds": {"number", "missing"},
    "directory": {"text"},  # another folder, in which nothing lies
    "log": {"text", "missing"},
    "preset": {"null", "missing"},
    "dataset": {"null", "text", "missing"},
    "fallback": {"true", "missing"},
}


def paths_in(content, path=()):
    """Yield the path of every value below a dict or list, as a tuple of keys and indices."""
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from paths_in(value, (*path, key))


def damaged(content, path, value):
    """Return the JSON text of `content` with one of `VALUES` in place of the value at `path`, or without it."""
    content = copy.deepcopy(content)
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    if value == "missing":
        del parent[path[-1]]
        return json.dumps(content)
    parent[path[-1]] = "@"
    return json.dumps(content).replace('"@"', VALUES[value])


def test_sound_files_are_no_damage(out):
    html = report.render(out)
    assert "label damaged" not in html and "Runs: 3 finished, 0 failed, 0 missing." in html
    assert all(f"fid{value}" in card for card, value in zip(run_cards(out).values(), (1.5, 2.5, 3.5), strict=True))


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in FILES for path in paths_in(FILES[name])], ids=lambda part: str(part)
)
def test_a_damaged_value_marks_its_run(out, name, path):
    for value in (*VALUES, "missing"):
        (out / name).write_text(damaged(FILES[name], path, value))
        texts = run_cards(out)
        damaged_run = name.partition("/")[0]
        sound = [other for other in NAMES if other != damaged_run]
        assert all(texts[other].startswith(f"finished stubs/{other} ") for other in sound)
        text = texts[damaged_run]
        if value in HARMLESS[path[-1]] or (name, path, value) == ("training/results.json", ("versions",), "missing"):
            assert text.startswith("finished ") and "is damaged" not in text, value
        else:
            assert text.startswith("damaged ") and f" {name} is damaged: " in text and text.count("is damaged:") == 1
            line = text.partition("is damaged: ")[2]
            assert (str(path[-1]) if path[-1] != 0 else "train_flags: item 1") in line or value in BREAKS_THE_FILE, line
            assert "Pictures figures/a.png" in text, "what is sound is shown"


@pytest.mark.parametrize("path", [(key,) for key in ENTRY])
def test_a_damaged_entry_of_the_record_marks_its_run(out, path):
    for value in (*VALUES, "missing"):
        (out / "reproduction.json").write_text(damaged(RECORD, ("runs", "stubs/training", *path), value))
        if value in BREAKS_THE_FILE:
            assert not read_record(out / "reproduction.json").runs
            continue
        texts = run_cards(out)
        assert texts["sound"].startswith("finished ") and texts["comparison"].startswith("finished ")
        if value in HARMLESS[path[0]]:
            assert "is damaged" not in texts["training"]
        else:
            expected = f'damaged stubs/training reproduction.json is damaged: the entry "stubs/training": {path[0]} '
            assert texts["training"].startswith(expected), value
            assert "To make it: make reproduce-all PRESET=quick ONLY=stubs/training" in texts["training"]


def test_damaged_keys_of_the_record_are_named_on_the_page(out):
    path = out / "reproduction.json"
    for value in (*VALUES, "missing"):
        path.write_text(damaged(RECORD, ("preset",), value))
        text = Page(report.render(out)).text
        assert "damaged reproduction.json is damaged: " in text and "make reproduce-all writes it anew" in text
        assert ("Runs: 3 finished" in text) == (value not in BREAKS_THE_FILE)
    for value in VALUES.keys() - {"dict", "nested dict"}:
        path.write_text(damaged(RECORD, ("runs",), value))
        assert "damaged reproduction.json is damaged: " in Page(report.render(out)).text
        path.write_text(damaged(RECORD, ("runs", "stubs/training"), value))
        if value not in BREAKS_THE_FILE:
            cards = run_cards(out)
            assert cards["training"].startswith("damaged ") and cards["sound"].startswith("finished ")
            assert 'damaged: the entry "stubs/training" must be a dict, received ' in cards["training"]


def test_a_run_without_an_entry_is_missing_and_entries_of_other_lists_are_ignored(out):
    runs = {"stubs/sound": RECORD["runs"]["stubs/sound"], "other/run": 3}
    (out / "reproduction.json").write_text(json.dumps({"preset": "quick", "runs": runs}))
    html = report.render(out)
    assert "label damaged" not in html and "Runs: 1 finished, 0 failed, 2 missing." in html
