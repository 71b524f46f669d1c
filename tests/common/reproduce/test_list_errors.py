"""A wrong list, `reproduction.toml`, gets one line that names the file and the entry, from both programs."""

import re

import pytest

from common.reproduce import __main__ as reproduce
from common.reproduce import lists, plan, report
from tests.helpers.stub_project import call_main, stub_run

SOUND = """
[article]
title = "Stubs"
place = 1
idea = "None."
links = { home = "https://kexue.fm" }

[not_run]
"bench.py" = "it measures speed"

[[run]]
name = "one"
command = "stubs/stub.py 1 {out}/x"
folder = "x"
leaves = ["figures/a.png"]
minutes = 0.1

[[run]]
name = "two"
command = "stubs/stub.py 2 {one}/y --dataset {dataset} --preset '{preset}'"
quick = "--steps 3"
dataset = "mnist"
fallback = "toy_faces"
after = "one"
folder = "{one}/y"
leaves = ["figures/a.png"]
minutes = { quick = 1, paper = 2 }

[[figure]]
caption = "F1: a figure"
run = "one"
file = "figures/a.png"
blog = "https://kexue.fm/x.png"
committed = "a.png"
ours = "Ours"
kept = "3 steps"

[[claim]]
says = "It works."
verdict = "stands"
numbers = "3 of 3"
link = "it-works"

[[number]]
what = "FID"
published = "1"
protocol = "p"
readme = "2"
run = "two"
key = "fid"
preset = "quick"
steps = 3
"""
ENTRY = {
    "article": "article",
    "not_run": "not_run",
    "run": '[[run]] "one"',
    "figure": '[[figure]] "F1: a figure"',
    "claim": '[[claim]] "It works."',
    "number": '[[number]] "FID"',
}


def edit(table, key, line=""):
    """Return `SOUND` with the first line `key = ...` of the first such table replaced."""
    start = re.search(rf"(?m)^\[+{table}\]", SOUND).start()
    return SOUND[:start] + re.sub(rf"(?m)^{key} = .*\n", lambda match: line, SOUND[start:], count=1)


def both(project, text):
    """Return the line that both programs answer to a list."""
    path = project.root / "stubs/reproduction.toml"
    if isinstance(text, bytes):
        path.write_bytes(text)
    else:
        path.write_text(text)
    lines = set()
    for module in (reproduce, report):
        code, printed = call_main(module, "--out", str(project.out))
        assert code == 2 and printed.count("\n") == 1, printed
        lines.add(printed)
    assert not project.out.exists(), "nothing was begun"
    (line,) = lines
    assert line.startswith("program: error: cannot read stubs/reproduction.toml: ")
    return line


def test_the_sound_list_is_read(project):
    (project.root / "stubs/reproduction.toml").write_text(SOUND)
    assert plan.read_lists().keys() == {"stubs"}
    assert plan.read_lists()["stubs"]["run"][1]["quick"] == "--steps 3"


def test_a_module_that_hides_the_package_common_is_named(project):
    (project.root / "stubs/common.py").touch()
    assert "common.py beside it hides the package common" in both(project, SOUND)


WITHOUT = {  # key that is left out -> the tables in which it is needed
    "article": ["title", "place", "idea", "links"],
    "run": ["name", "command", "folder", "leaves", "minutes"],
    "figure": ["caption", "ours", "run", "file"],
    "claim": ["says", "verdict", "numbers", "link"],
    "number": ["what", "published", "protocol", "readme", "run", "key", "preset"],
}


@pytest.mark.parametrize(("table", "key"), [(table, key) for table, keys in WITHOUT.items() for key in keys])
def test_a_missing_entry_is_named(project, table, key):
    line = both(project, edit(table, key))
    label = "number 1" if key in ("name", "caption", "says", "what") else ENTRY[table].partition(" ")[2]
    name = "article" if table == "article" else f"[[{table}]] {label}"
    assert f"{name}: {key} is missing; " in line


@pytest.mark.parametrize("table", ["article", "run"])
def test_a_missing_table_is_named(project, table):
    parts = re.split(r"(?m)^(?=\[)", SOUND)
    parts = [part for part in parts if not part.startswith((f"[{table}]", f"[[{table}]]"))]
    assert f": {table} is missing; it must be " in both(project, "".join(parts))


# the tables and keys of `SOUND` -> values of the wrong type or out of range, as TOML
NO_TEXT = ["3", "true", "nan", "[]", "{}", '"a\\u0000b"', "1979-05-27", "0x" + 400 * "f"]
TEXT = [*NO_TEXT, '""', '" "']
PATH = [*TEXT, '"/etc/passwd"', '"../x"']
DATA = [*TEXT, '"mnits"', '"folder:"']
NO_NUMBER = ['"1"', "true", "nan", "-inf", "[]", "{}", "1" + 400 * "0"]
DURATIONS = [*NO_NUMBER, "0", "-1", "{ paper = 1 }", "{ quick = 0 }", "{ quick = [] }", '{ quick = "1" }', "1e300"]
WRONG = {
    "article": {"title": TEXT, "idea": TEXT, "place": NO_NUMBER, "links": ["[]", '"x"', "{ home = 3 }"]},
    "run": {
        "name": [*TEXT, '"a b"', '"a/b"', '"a,b"', '"out"', '"preset"', f'"{101 * "x"}"'],
        "command": TEXT,
        "folder": PATH,
        "leaves": ['"a.png"', "[]", "[3]", '[""]', "{}", '["../a"]', '["a", ["b"]]'],
        "minutes": DURATIONS,
        "quick": NO_TEXT,
        "after": TEXT,
        "dataset": DATA,
        "fallback": DATA,
    },
    "figure": {
        "caption": TEXT,
        "ours": TEXT,
        "run": [*TEXT, '"three"'],
        "file": [*TEXT, '"other.png"'],
        "blog": TEXT,
        "committed": PATH,
        "kept": TEXT,
    },
    "claim": {"says": TEXT, "verdict": [*TEXT, '"true"'], "numbers": TEXT, "link": TEXT},
    "number": {
        **dict.fromkeys(["what", "published", "protocol", "readme", "key"], TEXT),
        "run": [*TEXT, '"x"'],
        "preset": [*TEXT, '"big"'],
        "steps": NO_NUMBER,
    },
}


@pytest.mark.parametrize(("table", "key"), [(table, key) for table, keys in WRONG.items() for key in keys])
def test_a_wrong_value_is_named(project, table, key):
    for value in WRONG[table][key]:
        line = both(project, edit(table, key, f"{key} = {value}\n"))
        assert (f"[[{table}]] " in line or f"{table}: " in line) and key in line, (value, line)


NAME = 'name = "one"\n'
AFTER = "after must name an earlier run of this list"
NO_PLACEHOLDER = "there is no placeholder"
# what is wrong -> (text of `SOUND`, what replaces it, what the line says)
MISFITS = {
    "one table instead of tables": ("[[run]]", "[run]", "cannot be parsed"),
    "tables instead of one table": ("[article]", "[[article]]", "article must be a table [article], received a list"),
    "unknown table": ("[not_run]", "[unrun]", 'the key "unrun" is unknown; there are article, run, figure, claim'),
    "unknown key": (NAME, NAME + "minute = 3\n", '[[run]] "one": the key "minute" is unknown; there are name, '),
    "repeated key": (NAME, NAME + NAME, "Cannot overwrite a value"),
    "repeated name": ('name = "two"', 'name = "one"', '[[run]] "one": two runs have this name'),
    "after nothing": ('after = "one"', 'after = "ten"', f'[[run]] "two": {AFTER} (one), received "ten"'),
    "after itself": ('after = "one"', 'after = "two"', f'[[run]] "two": {AFTER} (one), received "two"'),
    "after a later run": (NAME, NAME + 'after = "two"\n', f'[[run]] "one": {AFTER} (none), received "two"'),
    "open quote": ("'{preset}'", "'{preset}", '[[run]] "two": command: No closing quotation'),
    "open quote of a preset": ("--steps 3", "--steps '3", '[[run]] "two": quick: No closing quotation'),
    "backslash at the end": ("--steps 3", r"--steps 3\\", '[[run]] "two": quick: No escaped character'),
    "placeholder": ("{out}/x", "{foo}/x", f'"one": command: {NO_PLACEHOLDER} {{foo}} here; there are {{preset}}, '),
    "placeholder of another run": ("1 {out}", "1 {two}", f'"one": command: {NO_PLACEHOLDER} {{two}} here'),
    "placeholder without data": ("1 {out}", "1 {dataset}", f'"one": command: {NO_PLACEHOLDER} {{dataset}} here'),
    "placeholder of a preset": ("--steps 3", "--steps {steps}", f'"two": quick: {NO_PLACEHOLDER} {{steps}} here'),
    "placeholder in folder": ('folder = "x"', 'folder = "{out}"', f'"one": folder: {NO_PLACEHOLDER} {{out}} here'),
    "attribute": ("{out}/x", "{out.x}", f"command: {NO_PLACEHOLDER} {{out.x}} here"),
    "index": ("{out}/x", "{out[0]}", f"command: {NO_PLACEHOLDER} {{out[0]}} here"),
    "format": ("{out}/x", "{out:>9}", "command: the placeholder {out} has a format"),
    "conversion": ("{out}/x", "{out!r}", "command: the placeholder {out} has a format"),
    "number in braces": ("{out}/x", "{0}", f"command: {NO_PLACEHOLDER} {{0}} here"),
    "line break": ("{out}/x", r"{a\nb}", f"command: {NO_PLACEHOLDER} {{a b}} here"),
    "line break in a name": ('file = "figures/a.png"', r'file = "a\nb"', "file a b is not among the leaves"),
    "empty braces": ("{out}/x", "{}", f"command: {NO_PLACEHOLDER} {{}} here"),
    "open brace": ("{out}/x", "{out", "command: expected '}' before end of string; "),
    "closed brace": ("{out}/x", "out}", "command: Single '}' encountered in format string; "),
    "needed folder in the middle": ('"{one}/y"', '"x/{one}"', '[[run]] "two": folder must begin with {one}'),
    "fallback for nothing": ('dataset = "mnist"\n', "", '[[run]] "two": fallback needs a dataset'),
    "unknown data set": ('"mnist"', '"mnits"', '[[run]] "two": dataset must be the name of a data set'),
    "unknown preset": ("{ quick = 1,", "{ big = 1, quick = 1,", '[[run]] "two": minutes: the key "big" is unknown'),
    "figure of nothing": (
        'run = "one"\nfile = "figures/a.png"\nblog = "https://kexue.fm/x.png"\n',
        "",
        '[[figure]] "F1: a figure": it needs a run with a file, or a blog address',
    ),
}


@pytest.mark.parametrize("case", MISFITS)
def test_entries_that_do_not_fit_together_are_named(project, case):
    old, new, expected = MISFITS[case]
    assert old in SOUND
    assert expected in both(project, SOUND.replace(old, new, 1))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it is empty"),
        ("\n \n", "it is empty"),
        (b"\xff\xfe[\x00", "it is not UTF-8 text"),
        ("[article", "it cannot be parsed: "),
        ("a = " + "[" * 100_000, "it is nested too deeply"),
        ("a = 1" + "0" * 5000, "it cannot be parsed: "),
        (SOUND + "\n[article]\n", "it cannot be parsed: "),
        ("[[run]]\n" * 3, "article is missing"),
        ("article = 3\n", "article must be a table [article], received 3 (and 1 more)"),
        (SOUND[: SOUND.index("[[run]]")] + "[run]\n", "run must be tables [[run]], received a dict"),
        (SOUND.replace("[not_run]", "run = 3\n[not_run]", 1).split("[[run]]")[0], '"run" is unknown'),
        ("run = []\n" + SOUND[: SOUND.index("[[run]]")], "run must be tables [[run]], received an empty list"),
        ("run = [1]\n" + SOUND[: SOUND.index("[[run]]")], "[[run]] number 1 must be a dict, received 1"),
    ],
)
def test_a_file_that_is_no_list_is_named(project, content, expected):
    assert expected in both(project, content)


def test_a_folder_in_place_of_the_list_is_named(project):
    (project.root / "stubs/reproduction.toml").mkdir()
    for module in (reproduce, report):
        code, printed = call_main(module)
        assert (code, printed) == (2, "program: error: cannot read stubs/reproduction.toml: it is a folder\n")


def test_several_errors_are_one_line(project):
    text = SOUND.replace('title = "Stubs"', "title = 3").replace("place = 1", 'place = "1"')
    assert "article: title must be text, received 3 (and 1 more)\n" in both(project, text)


def test_only_an_article_without_a_list_says_to_write_one(project):
    project.write_list(stub_run("one", "1"))
    (project.root / "newgan").mkdir()
    for name in ("newgan", "newgan/", "newgan/train"):
        code, printed = call_main(reproduce, "--only", name)
        assert code == 2
        assert printed == (
            f"program: error: --only {name}: newgan has no reproduction.toml; write one, as CONTRIBUTING.md shows\n"
        )
    code, printed = call_main(reproduce, "--only", "nothing")
    assert code == 2 and "--only nothing: no such article or run; there are stubs/one\n" in printed


def test_a_project_without_any_list_says_to_write_one(project):
    for module in (reproduce, report):
        code, printed = call_main(module)
        assert code == 2 and "has a reproduction.toml; write one as CONTRIBUTING.md shows\n" in printed


def test_placeholders_are_filled_and_doubled_braces_are_braces():
    assert lists.placeholders("a {b} {{c}} {8}") == ["b", "8"]
    assert lists.fill("a {b} {{c}} {8}", {"b": "{x}", "8": "y", "c": "z"}) == "a {x} {c} y"


def test_a_run_after_another_may_write_into_its_own_folder(project):
    project.write_list(stub_run("one", "1"), stub_run("two", "2", after="one"))
    assert project.reproduce() == 0
    assert project.states() == {"one": "finished", "two": "finished"}


def test_selecting_the_last_of_a_chain_brings_the_whole_chain(project):
    project.write_list(stub_run("a", "1"), stub_run("b", "2", after="a"), stub_run("c", "3", after="b"))
    assert [run.key for run in plan.select_runs(project.plan(), "stubs/c")] == ["stubs/a", "stubs/b", "stubs/c"]
