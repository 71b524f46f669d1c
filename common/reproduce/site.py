"""Write the page of `make compare` and the READMEs, in both languages, as one folder of static files.

    python -m common.reproduce.site          # -> runs/site/index.html

The folder can be published as it is: it needs no server of its own and no script. Every document that a README leads to
becomes a page, and every other file that a page leads to is copied.
"""

import os
import re
import shutil
from collections import Counter, deque
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote, unquote

from common.cli import Parser, main
from common.errors import UserError
from common.files import atomic_write
from common.reproduce import plan
from common.reproduce.page import WORDS, load_template
from common.reproduce.paths import check_writable, out_path
from common.reproduce.report import render

INDEX = {"en": "index.html", "zh": "index.zh.html"}
BUILDING = "site.part"  # folder of a site that is being written
README = {"en": "README.md", "zh": "README.zh.md"}


def make_parser():
    """Return the parser of `python -m common.reproduce.site`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", default="runs", help="folder of the runs; the site goes to its folder site/ (default runs)")
    return p


def slug(title):
    """Return the anchor that GitHub gives to a heading, from its text without Markdown."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def to_html(text):
    """Return (title, HTML) of a Markdown text, in which every heading has the anchor of GitHub.

    Args:
        text: str.

    Raises:
        UserError: if the package that reads Markdown is missing.
    """
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise UserError(f'{error}: .venv/bin/pip install -e ".[site]"') from None

    markdown = MarkdownIt("commonmark", {"html": True, "xhtmlOut": False}).enable(["table", "strikethrough"])
    tokens, counts, titles = markdown.parse(text), Counter(), []
    for heading, inline in pairwise(tokens):
        if heading.type == "heading_open":
            titles.append("".join(part.content for part in inline.children))
            name = slug(titles[-1])
            heading.attrSet("id", f"{name}-{counts[name]}" if counts[name] else name)
            counts[name] += 1
    return (titles or ["README"])[0], markdown.renderer.render(tokens, markdown.options, {})


class Links:
    """Where the files of the repository and of the runs lie in the site.

    Args:
        out: absolute Path, folder of the runs.
    """

    def __init__(self, out):
        self.out, self.found = out, deque()  # files that a page leads to

    def place(self, path):
        """Return the path of a file in the site, relative to it, or None if the site must not hold it."""
        for folder, prefix in ((self.out / "site", ""), (self.out, "runs"), (plan.ROOT, "")):
            if path.is_relative_to(folder):
                place = Path(prefix) / path.relative_to(folder)
                return place.with_suffix(".html") if place.suffix == ".md" else place
        return None

    def rewrite(self, html, source, page):
        """Return the HTML of a page with its links changed to the places of the site.

        A link to what the site does not hold, such as a folder without a README, loses its address and keeps its text.

        Args:
            html: str.
            source: absolute Path, file that the links are relative to.
            page: Path of the page in the site, relative to it.
        """

        def address(match):
            name, url = match[1], match[2].replace("&amp;", "&")
            path, _, anchor = url.partition("#")
            if "://" in url or not path:
                return match[0]
            target = Path(os.path.normpath(source.parent / unquote(path)))
            if target.is_dir():
                readmes = [target / README["zh" if source.name.endswith(".zh.md") else "en"], target / README["en"]]
                target = next((readme for readme in readmes if readme.is_file()), target)
            of_site = target.parent == self.out / "site"  # the page in the other language, perhaps not written yet
            place = self.place(target) if of_site or target.is_file() else None
            if place is None:
                return ""
            if not of_site:
                self.found.append(target)
            anchor = f"#{anchor}" if anchor else ""
            return f' {name}="{quote(os.path.relpath(place, page.parent))}{anchor}"'

        return re.sub(r'\s(href|src)="([^"]*)"', address, html)


def write_site(out):
    """Write the site into `<out>/site/` in place of an earlier one, and return the number of its pages.

    Args:
        out: absolute Path, folder of the runs.

    Raises:
        UserError: if the folder holds something else, if a file cannot be written, or if a package is missing.
    """
    to_html("")  # says what to install before anything is deleted
    site = out / "site"
    if site.is_dir() and any(site.iterdir()) and not all((site / name).is_file() for name in INDEX.values()):
        raise UserError(f"{site} holds something else than a site of `make site`: move it, or give another --out")
    building = out / BUILDING
    try:
        shutil.rmtree(building, ignore_errors=True)
        n = _write_pages(out, site, building)
        shutil.rmtree(site, ignore_errors=True)
        os.replace(building, site)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or site}: {error.strerror}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return n


def _write_pages(out, site, building):
    """Write the pages that will lie in `site` into the folder `building`, and return their number."""
    links, written = Links(out), set()

    def write(place, html):
        atomic_write(building / place, lambda path: path.write_text(html, encoding="utf-8"))
        written.add(Path(place))

    for language, index in INDEX.items():
        other = "zh" if language == "en" else "en"
        to = [(site / INDEX[other], "site_language"), (plan.ROOT / README[language], "site_readme")]
        urls = [(quote(os.path.relpath(path, out / "report")), WORDS[language][word]) for path, word in to]
        html = render(out, language=language, links=urls)
        write(index, links.rewrite(html, out / "report/index.html", Path(index)))
    while links.found:
        path = links.found.popleft()
        place = links.place(path)
        if place in written:
            continue
        if path.suffix != ".md":
            written.add(place)
            (building / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, building / place)
            continue
        language = "zh" if path.name.endswith(".zh.md") else "en"
        title, body = to_html(path.read_text(encoding="utf-8"))
        body = links.rewrite(body, path, place)
        up = os.path.relpath(INDEX[language], place.parent)
        write(place, load_template("document.html.jinja").render(words=WORDS[language], title=title, body=body, up=up))
    return sum(place.suffix == ".html" for place in written)


def run(args):
    """Write the site and print where it is."""
    out = out_path(args.out)
    check_writable(out, args.out)
    n = write_site(out)
    print(f"{n} pages in {Path(os.path.normpath(os.path.expanduser(args.out))) / 'site/index.html'}")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
