"""The Chinese documents say what the English ones say: the same numbers and commands, and links to Chinese pages."""

import re
from pathlib import Path

from tests.helpers.scripts import ROOT
from tests.test_readme import DOCUMENTS, for_each, links, script_commands, without_fences

CHINESE = [path for path in DOCUMENTS if path.name.endswith(".zh.md")]
NUMBER = re.compile(r"(?<![\w.])(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e-?\d+)?")


def english_of(document):
    """Return the path of the English document beside a Chinese one."""
    return document.with_name(document.name.replace(".zh.md", ".md"))


def numbers(text):
    """Return the set of the numbers of a Markdown text, without those of code blocks and of addresses."""
    text = re.sub(r"\]\([^)\s]*\)", "]", without_fences(text))
    for unit, zeros in ((" 亿像素", 8), (" 万像素", 4), (" megapixels", 6)):
        text = re.sub(rf"(\d+){unit}", rf"\g<1>{zeros * '0'}", text)
    return {float(number.replace(",", "")) for number in NUMBER.findall(text)}


def commands(text):
    """Return the set of the commands of a Markdown text, without their comments."""
    others = re.findall(r"^    (?:\.venv/bin/)?(make .*|python -m .*)$", without_fences(text), re.MULTILINE)
    return {command.strip() for command in [*script_commands(text), *(line.split(" #")[0] for line in others)]}


def test_the_helpers_find_numbers_and_commands():
    text = "a 1,234.5 and .7, 2e-4 [9](x/8.md) f2 3.\n    make test  # 1\n    python -m common.data PHOTOS\n```\n6\n```"
    assert numbers(text) == {1234.5, 0.7, 2e-4, 9, 3, 1}
    assert numbers("50 megapixels") == numbers("5000 万像素")
    assert commands(text) == {"make test", "python -m common.data PHOTOS"}


@for_each(CHINESE)
def test_it_has_the_numbers_and_commands_of_the_english_document(document):
    chinese, english = (path.read_text(encoding="utf-8") for path in (document, english_of(document)))
    for name, found in (("numbers", numbers), ("commands", commands)):
        missing, further = found(english) - found(chinese), found(chinese) - found(english)
        assert not missing | further, (
            f"{name} differ: change {document.relative_to(ROOT)} as its English README was changed. "
            f"It lacks {sorted(missing)}; the English one lacks {sorted(further)}"
        )


@for_each(CHINESE)
def test_it_links_to_chinese_documents_where_there_are_some(document):
    for path, _ in links(document.read_text(encoding="utf-8")):
        target = document.parent / path
        if target.suffix == ".md" and target != english_of(document):
            chinese = Path(str(target).removesuffix(".md") + ".zh.md")
            assert target.name.endswith(".zh.md") or not chinese.exists(), f"{path}: link to {chinese.name} instead"


@for_each([english_of(path) for path in CHINESE])
def test_the_english_document_links_to_the_chinese_one(document):
    text = document.read_text(encoding="utf-8")
    assert f"[中文]({document.name.replace('.md', '.zh.md')})" in text.split("\n## ")[0]
