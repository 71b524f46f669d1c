"""The page in English and Chinese: all its words stand in one table, and the lists hold Chinese texts."""

import re
import string
from html.parser import HTMLParser

import pytest

from common.errors import UserError
from common.reproduce import page, plan, report
from tests.helpers.commands import LISTS
from tests.helpers.page import Page
from tests.helpers.scripts import ROOT
from tests.helpers.stub_project import stub_run
from tests.test_chinese import numbers

TEMPLATE = ROOT / "common/reproduce/report.html.jinja"
EN, ZH = page.WORDS["en"], page.WORDS["zh"]
# kind of table in a list -> its keys that hold text
TEXTS = {
    "article": ("title", "idea"),
    "figure": ("caption", "ours", "kept"),
    "claim": ("says", "numbers", "link"),
    "number": ("what", "published", "protocol", "readme"),
}


class Words(HTMLParser):
    """The text of a page, and of the attributes that are shown or read out, without styles and commands."""

    def __init__(self, html):
        super().__init__()
        self.words, self.tag = [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        self.words += [v for k, v in attrs if k in ("alt", "title", "aria-label", "data-label", "placeholder")]

    def handle_data(self, data):
        self.words += [data] * (self.tag not in ("style", "code"))

    def handle_endtag(self, tag):
        self.tag = None


def test_the_template_has_no_words_of_its_own():
    source = TEMPLATE.read_text(encoding="utf-8")
    tokens = list(page.load_template().environment.lex(source))
    html = "".join(text if kind == "data" else "x" * (kind == "variable_begin") for _, kind, text in tokens)
    own_words = [word for word in Words(html).words if re.search("[A-Za-z\u4e00-\u9fff]{2}", word.replace("x", ""))]
    assert not own_words, "put these into `page.WORDS`"
    strings = {text.strip("'\"") for _, kind, text in tokens if kind == "string"} - {
        "https://kexue.fm",
        "make reproduce-all",
    }
    sentences = {text for text in strings if " " in text.strip() and text not in EN}
    assert not sentences, "put these into `page.WORDS`"


def test_both_languages_have_the_same_words_with_the_same_gaps():
    gaps = lambda text: {name for _, name, _, _ in string.Formatter().parse(text) if name}
    assert {key: gaps(text) for key, text in EN.items()} == {key: gaps(text) for key, text in ZH.items()}
    same = {key for key in EN if EN[key] == ZH[key]}
    assert not same, "these are not translated"


@pytest.mark.parametrize(
    ("env", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "KEXUE_LANG": "en"}, "en"),
        ({"LANG": "de_DE.UTF-8", "KEXUE_LANG": "zh"}, "zh"),
    ],
)
def test_the_language_is_that_of_the_user(env, language):
    assert page.page_language(env) == language


def test_an_unknown_language_is_an_error_of_the_user():
    with pytest.raises(UserError, match="KEXUE_LANG must be one of en, zh"):
        page.page_language({"KEXUE_LANG": "fr"})


def test_the_chinese_page_keeps_no_english_word(project, monkeypatch):
    project.write_list(stub_run("one", "1"), stub_run("bad", "fail"), stub_run("later", "2", after="bad"))
    text = '[[figure]]\ncaption = "F"\ncaption_zh = "甲"\nrun = "one"\nfile = "figures/a.png"\nours = "G"\n'
    path = project.root / "stubs/reproduction.toml"
    path.write_text(path.read_text() + text + 'blog = "https://kexue.fm/a.png"\n')
    assert project.reproduce() == 1
    monkeypatch.setenv("KEXUE_LANG", "zh")
    report.run(report.make_parser().parse_args(["--out", str(project.out)]))
    html = (project.out / "report/index.html").read_text(encoding="utf-8")
    shown = " ".join(Words(html).words)
    assert "甲" in shown and "已完成" in shown and "G" in shown, "English only where there is no Chinese"
    assert Page(html).all("html") == [("html", {"lang": "zh-Hans"})]
    fixed = {part.strip(" .,:;()") for text in EN.values() for part in re.split(r"\{\w+\}", text)}
    words = {part for part in fixed if re.search("[a-z]{2}", part) and part not in " ".join(ZH.values())}
    assert len(words) > 60 and not {part for part in words if re.search(rf"\b{re.escape(part)}\b", shown)}


def test_the_english_page_has_no_chinese(tmp_path):
    html = report.render(tmp_path)
    assert not re.findall("[\u4e00-\u9fff]+", html) and Page(html).all("html") == [("html", {"lang": "en"})]


@pytest.mark.parametrize("folder", [folder for folder in LISTS if (ROOT / folder / "README.zh.md").exists()])
def test_a_list_beside_a_chinese_readme_has_chinese_texts(folder):
    advice = f"{folder}/reproduction.toml: say the same in Chinese, below the English text"
    for kind, keys in TEXTS.items():
        for entry in [LISTS[folder][kind]] if kind == "article" else LISTS[folder].get(kind, []):
            for key in keys:
                text, chinese = entry.get(key, ""), entry.get(f"{key}_zh", "")
                if key == "link" or re.search("[A-Za-z]{3}", text):
                    assert chinese, f"{advice}: {key}_zh for {key} = {text!r}"
                if chinese and key != "link":
                    assert numbers(chinese) == numbers(text), f"{advice}: other numbers in {chinese!r}"


def test_chinese_texts_take_the_place_of_english_ones():
    content = {"figure": [{"caption": "a", "caption_zh": "甲", "run": "r"}, {"caption": "b"}]}
    assert page.in_language(content, "zh") == {"figure": [{"caption": "甲", "run": "r"}, {"caption": "b"}]}
    assert page.in_language(content, "en") == {"figure": [{"caption": "a", "run": "r"}, {"caption": "b"}]}


def test_claims_link_to_headings_of_the_chinese_readme():
    from tests.test_readme import anchors

    for folder, content in page.in_language(plan.read_lists(), "zh").items():
        if (ROOT / folder / "README.zh.md").exists():
            headings = anchors((ROOT / folder / "README.zh.md").read_text(encoding="utf-8"))
            assert {claim["link"] for claim in content.get("claim", [])} <= headings, folder
