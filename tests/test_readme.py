"""What the READMEs and CONTRIBUTING.md show works: commands, links, headings and the example of a new article."""

import ast
import importlib
import re
import shlex
import shutil
import subprocess
from collections import Counter
from urllib.parse import unquote

import pytest

from common.data import __main__ as photos
from common.experiments import compare
from common.models import export
from common.reproduce import __main__ as reproduce
from common.reproduce import report
from common.reproduce.new_article import write_article
from tests.helpers.commands import LISTS, unknown_flags
from tests.helpers.scripts import ROOT
from tests.test_architecture import ROOMS

FOLDERS = ("common", "tests", "pretrained", *LISTS)
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(path for folder in (*FOLDERS, "docs") for path in (ROOT / folder).rglob("*.md"))]
)
READMES = [path for path in DOCUMENTS if path.name in ("README.md", "README.zh.md")]
CURRENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]  # it also names commands of earlier versions
NUMBER = r"(?<![\w.,])\d[\d,.]*\d|(?<![\w.,])\.\d+"  # of two digits or more
MODULES = {
    "common.data": photos,
    "common.experiments.compare": compare,
    "common.models.export": export,
    "common.reproduce": reproduce,
    "common.reproduce.report": report,
}


def for_each(documents):
    """Return a decorator that runs a test once per document."""
    return pytest.mark.parametrize("document", documents, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.fixture(scope="module")
def my_gan(tmp_path_factory):
    """The script of the article that `make article NAME=my_gan` begins, which can be imported here."""
    root = tmp_path_factory.mktemp("repository")
    (root / "rsgan").mkdir()
    shutil.copy(ROOT / "rsgan/reproduction.toml", root / "rsgan")
    write_article(root, "my_gan")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        yield root / "my_gan/train.py"


def without_fences(text):
    """Return Markdown without its fenced blocks."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def script_commands(text):
    """Return the commands `python folder/script.py ...` of a Markdown text, each from the script's path on."""
    text = without_fences(text)
    lines = re.findall(r"^    (?:\.venv/bin/)?python (\w+/\w+\.py.*)$", text, re.MULTILINE)
    inline = re.findall(r"`(?:(?:\.venv/bin/)?python )?(\w+/\w+\.py [^`]*)`", text)
    return [part for command in lines + inline for part in command.split("#")[0].split("&& python")]


def dotted_names(text):
    """Return (module, name) of the inline code that names something to import, such as `common.cli.main`."""
    return re.findall(rf"`((?:{'|'.join(FOLDERS)})(?:\.\w+)+)\.(\w+)(?=[`(])", without_fences(text))


def links(text):
    """Return (path, anchor) of the links to files and headings; either may be empty."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_fences(text)) + re.findall(r'(?:src|href)="([^"]+)"', text)
    return [(path, unquote(anchor)) for path, _, anchor in (t.partition("#") for t in targets if "://" not in t)]


def anchors(text):
    """Return the anchors that GitHub gives to the headings of a Markdown text."""
    anchors_of_headings, counts = set(), Counter()
    for title in re.findall(r"^#+ (.*)$", without_fences(text), re.MULTILINE):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)  # GitHub uses only the text of a link
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        anchors_of_headings.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return anchors_of_headings | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def python_blocks(text):
    """Return the fenced blocks of Python code in a Markdown text."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_documents_are_found():
    names = {str(path.relative_to(ROOT)) for path in READMES}
    assert {"README.md", "README.zh.md", *(f"{folder}/README.md" for folder in LISTS)} <= names


def test_the_helpers_find_commands_links_and_anchors():
    text = "# A `b`: [c](d)\n# 图，和表\n    python a/b.py --x  # why\n`a/c.py -y && python a/d.py` [e](f.md#g)\n"
    text += "## A b c\n" * 2 + "`common.cli.main`, `flow.keras`, `ogan/a.py`, `flow.layers.base.f(x)`"
    assert dotted_names(text) == [("common.cli", "main"), ("flow.layers.base", "f")]
    assert script_commands(text) == ["a/b.py --x  ", "a/c.py -y ", " a/d.py"]
    assert links(text) == [("d", ""), ("f.md", "g")]
    assert anchors(text) == {"a-b-c", "图和表", "a-b-c-1", "a-b-c-2"}


@for_each(CURRENT)
def test_scripts_know_every_flag_of_the_commands(document, my_gan):
    commands = script_commands(document.read_text(encoding="utf-8"))
    assert commands or document not in READMES
    for command in commands:
        arguments = [word for word in shlex.split(command) if word != "--help"]
        if "NAME" not in arguments:  # a placeholder for the names in a table next to it
            assert not unknown_flags(arguments), command


@for_each(CURRENT)
def test_modules_know_every_flag_of_the_commands(document, my_gan):
    paths = {"PHOTOS": ".", "RUN": "pretrained/gan-mnist", "my_gan/train.py": str(my_gan)}  # what the reader has
    text = document.read_text(encoding="utf-8")
    for module, flags in re.findall(r"python -m (common[\w.]+)((?: [^`#\n]*)?)", text):
        words = [word for word in shlex.split(flags) if word != "--help"]
        _, unknown = MODULES[module].make_parser().parse_known_args([paths.get(word, word) for word in words])
        assert not unknown or (module == "common.experiments.compare" and not unknown_flags([words[0], *unknown]))


@for_each(CURRENT)
def test_every_dotted_name_can_be_imported(document):
    for module, name in dotted_names(document.read_text(encoding="utf-8")):
        try:
            importlib.import_module(f"{module}.{name}")
        except ModuleNotFoundError:  # then it is no module but a name in one
            assert hasattr(importlib.import_module(module), name), f"{module} has no {name}"


@for_each(CURRENT)
def test_make_knows_every_target_and_variable(document):
    variables = set(re.findall(r"\$\(if \$\((\w+)\)|^(\w+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    variables = {name for names in variables for name in names if name}
    assert {"PRESET", "OUT", "PYTHON"} < variables
    text = without_fences(document.read_text(encoding="utf-8"))
    commands = re.findall(r"^    (make .*?)(?: +#.*)?$", text, re.MULTILINE) + re.findall(r"`(make [^`]+)`", text)
    for command in commands:
        command = [word for word in command.split() if not word.endswith("=")]  # `ONLY=` names a variable
        assert subprocess.run([*command, "-n"], cwd=ROOT, capture_output=True).returncode == 0, command
        assert {word.split("=")[0] for word in command if "=" in word} <= variables


@for_each([ROOT / "README.md", ROOT / "README.zh.md"])
def test_the_overview_has_the_numbers_of_the_articles(document):
    """An article's row has the numbers of its README, so none stays behind that was measured again."""
    rows = re.findall(r"^\|.*`\]\((\w+/README(?:\.zh)?\.md)\) \|(.*)$", document.read_text(encoding="utf-8"), re.M)
    assert len(rows) == len(LISTS)
    for readme, row in rows:
        shown = re.sub(r"\]\([^)]*\)|`[^`]*`|arXiv [\d.]+", " ", row)
        known = set(re.findall(NUMBER, (ROOT / readme).read_text(encoding="utf-8")))
        assert set(re.findall(NUMBER, shown)) <= known, readme


@for_each(DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(document):
    for path, anchor in links(document.read_text(encoding="utf-8")):
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{path or document.name} has no #{anchor}"


def test_the_loss_of_a_new_article_is_the_one_that_is_printed(my_gan):
    (code,) = [code for code in python_blocks((ROOT / "README.md").read_text(encoding="utf-8")) if "Loss(" in code]
    assert f"\n\n{code}\n\n" in my_gan.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_map_of_common_names_its_rooms_in_order(name):
    sections = (ROOT / name).read_text(encoding="utf-8").split("\n## ")
    (section,) = [section for section in sections if "`common/`" in section.splitlines()[0]]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    rooms = re.findall(r"`(\w+)(?:/|\.py)`", "".join(rows))
    assert [f"common.{room}" for room in rooms] == list(ROOMS)


def test_a_chinese_document_has_the_code_of_the_english_one():
    for chinese in (path for path in DOCUMENTS if path.name.endswith(".zh.md")):
        english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
        chinese_code, english_code = (
            [code_without_docstrings(code) for code in python_blocks(path.read_text(encoding="utf-8"))]
            for path in (chinese, english)
        )
        assert chinese_code == english_code, chinese


def code_without_docstrings(code):
    """Return Python code in a normal form, without its comments and docstrings."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.unparse(tree)
