"""A file that is no JSON or no picture marks its run on the page in one line, and the page is written."""

import os

import pytest

from common.reproduce import report
from tests.helpers.finished_runs import FILES, run_cards
from tests.helpers.page import Page
from tests.helpers.stub_project import call_main

# what stands in place of a file
CONTENTS = {
    "empty": b"",
    "binary": bytes(range(256)),
    "blank": b" \n",
    "UTF-16": '{"metrics": {}}'.encode("utf-16"),
    "half": b'{"metrics": {"fid": 1.',
    "null": b"null",
    "list": b"[1]",
    "text": b'"text"',
    "number": b"3",
    "NaN": b"NaN",
    "HTML": b"<html>",
    "twice": b"{}{}",
    "nested too deeply": 100_000 * b'{"a":',
}
PICTURES = {name: CONTENTS[name] for name in ("empty", "binary", "half", "HTML")}
JSON_FILES = [*FILES, "reproduction.json"]


def replace(path, content):
    """Put bytes, "folder", "pipe" or "link to nowhere" in place of a file."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("nowhere")


@pytest.mark.parametrize("name", JSON_FILES)
def test_a_file_that_is_no_json_is_named(out, name):
    for kind in [*CONTENTS, "folder", "pipe"]:
        replace(out / name, CONTENTS.get(kind, kind))
        text = Page(report.render(out)).text
        assert f" {name} is damaged: " in text, kind
        if name == "reproduction.json":
            assert "Runs: 0 finished" in text
        else:
            texts = run_cards(out)
            assert texts.pop(name.partition("/")[0]).startswith("damaged ")
            assert all(card.startswith("finished ") for card in texts.values())


@pytest.mark.parametrize("kind", [*PICTURES, "half a picture", "folder", "pipe", "link to nowhere"])
def test_a_damaged_picture_is_named_and_not_shown(out, kind):
    path = out / "training/figures/a.png"
    content = path.read_bytes()
    replace(path, content[: len(content) // 2] if kind == "half a picture" else PICTURES.get(kind, kind))
    page = Page(report.render(out))
    texts = run_cards(out)
    assert texts["training"].startswith("damaged ") and "training/figures/a.png is damaged: it is " in texts["training"]
    assert "fid1.5" in texts["training"], "what is sound is shown"
    assert not page.figures["stubs/training/figures/a.png"]["pictures"]
    assert page.figures["stubs/sound/figures/a.png"]["pictures"] and texts["sound"].startswith("finished ")


def test_several_damages_are_one_line(out):
    (out / "training/config.json").write_text("{}")
    (out / "training/figures/a.png").write_bytes(b"")
    card = run_cards(out)["training"]
    assert card.count("is damaged:") == 1
    assert "config.json is damaged: flags is missing; it must be a dict (and 1 more); delete the folder" in card
    assert "to make it again (and 1 more)" in card


def test_files_that_the_page_does_not_read_may_be_anything(out):
    for content in (*CONTENTS.values(), "folder", "pipe"):
        for name in ("run.json", "log.csv", "log.txt", "table.md"):
            replace(out / "training" / name, content)
        assert "label damaged" not in report.render(out)


def test_the_line_says_how_to_make_the_run_again(out):
    """Deleting what the line names lets `python -m common.reproduce` start the run again."""
    (out / "training/results.json").write_text("{")
    (out / "comparison/sgan-0/x/config.json").write_text("{")
    cards = run_cards(out)
    assert "; delete it to make it again: make reproduce-all PRESET=quick ONLY=stubs/training" in cards["training"]
    assert "; delete the folder comparison to make it again: make reproduce-all " in cards["comparison"]


def test_the_program_that_writes_the_page_ends_well_on_damage(out):
    for name in JSON_FILES:
        (out / name).write_bytes(b"")
    assert call_main(report, "--out", str(out)) == (0, "")
    assert "damaged" in (out / "report/index.html").read_text()
