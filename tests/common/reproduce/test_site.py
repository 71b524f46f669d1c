"""The folder of `make site`: every link and picture leads to a file of the folder, and every anchor to a heading."""

from pathlib import Path
from urllib.parse import unquote

import pytest

from common.errors import UserError
from common.reproduce import plan, site
from tests.helpers.page import Page
from tests.helpers.scripts import ROOT
from tests.test_readme import anchors

pytest.importorskip("markdown_it")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The site of the repository, with one own run, and with what an earlier site left."""
    out = tmp_path_factory.mktemp("runs here")
    run_dir = out / "rsgan/mine #1"
    (run_dir / "figures").mkdir(parents=True)
    picture = (ROOT / "docs/figures/collapse.png").read_bytes()
    (run_dir / "figures/samples.png").write_bytes(picture)
    (out / "site").mkdir()
    for name in ("old", "index", "index.zh"):
        (out / f"site/{name}.html").touch()
    site.run(site.make_parser().parse_args(["--out", str(out)]))
    return out / "site"


def test_a_site_of_something_else_is_left_alone(tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/mine.html").write_text("mine")
    with pytest.raises(UserError, match="holds something else than a site of"):
        site.write_site(tmp_path)
    assert (tmp_path / "site/mine.html").read_text() == "mine"
    for name in ("index", "index.zh"):
        (tmp_path / f"site/{name}.html").touch()

    def full(*_):
        raise OSError(28, "No space left on device", "x.html")

    monkeypatch.setattr(site, "_write_pages", full)
    with pytest.raises(UserError, match=r"cannot write x.html: No space left on device"):
        site.write_site(tmp_path)
    assert (tmp_path / "site/mine.html").exists(), "the site of before stays until there is a new one"


def pages(folder):
    """Return {path of a page: its HTML elements, as (tag, attributes)}."""
    return {path: Page(path.read_text("utf-8")).elements for path in folder.rglob("*.html")}


def test_every_link_leads_to_a_file_and_an_anchor_of_the_folder(folder):
    found = pages(folder)
    ids = {path: {attrs["id"] for _, attrs in elements if "id" in attrs} for path, elements in found.items()}
    count = 0
    for path, elements in found.items():
        for _, attrs in elements:
            url = attrs.get("href") or attrs.get("src") or ""
            if not url or "://" in url:
                continue
            name, _, anchor = url.partition("#")
            target = (path.parent / unquote(name)).resolve() if name else path
            assert target.is_relative_to(folder.resolve()) and target.is_file(), (path, url)
            assert not anchor or target.suffix != ".html" or unquote(anchor) in ids[target], (path, url)
            count += 1
    assert count > 1000


def test_every_article_is_there_in_both_languages(folder):
    for name in ("index", "README", "docs/troubleshooting"):
        assert (folder / f"{name}.html").is_file() and (folder / f"{name}.zh.html").is_file()
    for article in plan.read_lists():
        chinese = (ROOT / article / "README.zh.md").is_file()
        assert (folder / article / "README.html").is_file()
        assert (folder / article / "README.zh.html").is_file() == chinese
    assert (folder / "runs/rsgan/mine #1/figures/samples.png").is_file() and not (folder / "old.html").exists()
    for name, language, other in (("index.html", "en", "index.zh.html"), ("index.zh.html", "zh-Hans", "index.html")):
        elements = Page((folder / name).read_text("utf-8")).elements
        assert ("html", {"lang": language}) in elements and ("a", {"href": other}) in elements


def test_headings_have_the_anchors_of_github():
    for path in (ROOT / "README.md", ROOT / "flow/README.zh.md", ROOT / "docs/troubleshooting.zh.md"):
        text = path.read_text("utf-8")
        title, html = site.to_html(text)
        ids = {attrs["id"] for _, attrs in Page(html).elements if "id" in attrs}
        assert ids == anchors(text) and f"# {title}" in text
    assert site.to_html("# A `b`\n## A b\n## A b\n")[0] == "A b"


def test_links_out_of_the_repository_lose_their_address(tmp_path):
    links = site.Links(tmp_path / "runs")
    kept = '<a href="https://kexue.fm">c</a> <a href="#d">d</a>'
    html = f'<a href="../../etc/passwd">a</a> <a href="nothing.md">b</a> {kept}'
    rewritten = links.rewrite(html, ROOT / "README.md", Path("README.html"))
    assert rewritten == f"<a>a</a> <a>b</a> {kept}" and not links.found
    done = links.rewrite('<a href="flow">f</a>', ROOT / "README.zh.md", Path("README.zh.html"))
    assert done == '<a href="flow/README.zh.html">f</a>' and list(links.found) == [ROOT / "flow/README.zh.md"]
