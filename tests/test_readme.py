"""What the README shows works as it stands there."""

import json
import re
import shlex
import subprocess

import pytest

from tests.helpers.commands import LISTS, rest_of
from tests.helpers.scripts import ROOT, run_script

READMES = [ROOT / "README.md", ROOT / "README.zh.md", *(ROOT / folder / "README.md" for folder in LISTS)]


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one_that_the_script_knows(readme):
    text = re.sub(r"```.*?```", "", readme.read_text(), flags=re.DOTALL)
    lines = re.findall(r"^    (?:\.venv/bin/)?python (\w+/\w+\.py.*)$", text, re.MULTILINE)
    inline = re.findall(r"`(?:python )?(\w+/\w+\.py [^`]*)`", text)
    assert lines + inline
    for command in [part for line in lines + inline for part in line.split("#")[0].split("&& python")]:
        words = [word for word in shlex.split(command) if word != "--help"]
        if "NAME" not in words:  # of one that a table beside it lists
            assert not rest_of(words), command


def test_every_make_command_is_one_that_make_knows():
    known = set(re.findall(r"\$\(if \$\((\w+)\)", (ROOT / "Makefile").read_text()))
    assert {"PRESET", "OUT"} < known
    for readme in READMES[:2]:
        for words in re.findall(r"^    (make .*?)(?: +#.*)?$", readme.read_text(), re.MULTILINE):
            assert subprocess.run([*words.split(), "-n"], cwd=ROOT, capture_output=True).returncode == 0, words
            assert {word.split("=")[0] for word in words.split() if "=" in word} <= known


def test_the_next_article_trains_as_it_is_printed(home, tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL).group(1)
    assert len(code.splitlines()) < 70
    script = tmp_path / "squared_hinge/train.py"
    script.parent.mkdir()
    script.write_text(code)
    done = run_script(home, "tensorflow", script, "--preset", "smoke", "--limit", "100", "--out", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    (results,) = tmp_path.rglob("results.json")
    assert results.parent.parent.name == "squared_hinge"
    assert json.loads(results.read_text())["metrics"]["fid"] > 0


def test_every_link_to_a_file_leads_somewhere():
    for readme in ROOT.glob("**/README*.md"):
        if ".venv" in readme.parts or "runs" in readme.parts:
            continue
        text = readme.read_text()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" not in target:
                assert (readme.parent / target).exists(), f"{readme.relative_to(ROOT)}: {target}"


def test_every_anchor_is_a_heading():
    slug = lambda title: re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
    for readme in ROOT.glob("*/README.md"):
        text = (ROOT / "README.md").read_text()
        headings = {slug(line.lstrip("#")) for line in readme.read_text().splitlines() if line.startswith("#")}
        for anchor in re.findall(rf"\]\({readme.parent.name}/README\.md#([^)]+)\)", text):
            assert anchor in headings, f"{readme.parent.name}/README.md has no heading {anchor}"
