"""Collect the figures of all runs, with their captions, in one flat folder.

    python -m common.reproduce.figures                   # -> runs/figures/*.png and runs/figures/index.md

A figure is copied to `<article>-<run>-<figure>.png`, and its SVG or PDF beside it if the script was called with
--format. The trainings of a comparison are left out; its own figures are there. The captions are in the language of the
page of `make compare`.
"""

import os
import re
import shutil
from pathlib import Path

from common.cli import Parser, main
from common.files import atomic_write
from common.plots.words import in_words
from common.reproduce import plan
from common.reproduce.own_runs import own_runs, pictures_of
from common.reproduce.page import WORDS, in_language, page_language
from common.reproduce.paths import check_writable, out_path
from common.reproduce.record import read_record

SAME_FIGURE = (".png", ".gif", ".svg", ".pdf")


def make_parser():
    """Return the parser of `python -m common.reproduce.figures`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--out", default="runs", help="folder of the runs; the figures go to its folder figures/ (default runs)"
    )
    return p


def finished_runs(out, language):
    """Yield (article, name, folder, {picture: caption}) of the runs of `make reproduce-all` and of scripts.

    Args:
        out: absolute Path, folder of the runs.
        language: of the captions, a key of `page.WORDS`.
    """
    record, own = read_record(out / "reproduction.json"), own_runs(out)
    for article, content in in_language(plan.read_lists(), language).items():
        figures = [figure for figure in content.get("figure", []) if "file" in figure]
        for spec in content["run"]:
            entry = record.runs.get(f"{article}/{spec['name']}", {})
            if entry.get("state") == "finished":
                captions = {f["file"]: _caption(f, language) for f in figures if f["run"] == spec["name"]}
                yield article, spec["name"], out / entry["directory"], captions
        captions = {figure["file"]: figure["ours"] for figure in reversed(figures)}
        for folder in own:
            if folder.relative_to(out).parts[0] == article:
                yield article, "-".join(folder.relative_to(out).parts[1:]), folder, captions


def _caption(figure, language):
    """Return our caption of a figure, with the article's in brackets."""
    return figure["ours"] + WORDS[language]["in_brackets"].format(text=figure["caption"])


def collect(out, language="en"):
    """Copy the figures into `<out>/figures/`, write `index.md` there, and return the number of figures.

    Args:
        out: absolute Path, folder of the runs.
        language: of the captions, a key of `page.WORDS` (default English).
    """
    target, lines, words = out / "figures", [], WORDS[language]
    for article, name, folder, captions in finished_runs(out, language):
        for picture in pictures_of(folder):
            stem = Path(re.sub(r"[^\w.=-]+", "_", f"{article}-{name}-{Path(picture).name}")).stem
            ending = Path(picture).suffix
            for suffix in SAME_FIGURE if ending == ".png" else (ending,):
                source = (folder / picture).with_suffix(suffix)
                if source.is_file() and (suffix != ".gif" or ending == ".gif"):
                    atomic_write(target / f"{stem}{suffix}", lambda path, source=source: shutil.copyfile(source, path))
            caption = captions.get(picture, in_words(Path(picture).stem.replace("-", " ")))
            source = os.path.relpath(folder / picture, out)
            lines += [
                f"## {stem}{ending}",
                "",
                f"![{caption}](<{stem}{ending}>)",
                "",
                words["from_folder"].format(caption=caption, folder=source),
                "",
            ]
    text = "\n".join([f"# {words['figures']}", "", *lines])
    atomic_write(target / "index.md", lambda path: path.write_text(text, encoding="utf-8"))
    return sum(line.startswith("## ") for line in lines)


def run(args):
    """Collect the figures and print where they are."""
    out = out_path(args.out)
    check_writable(out, args.out)
    n = collect(out, page_language())
    print(f"{n} figures in {Path(os.path.normpath(os.path.expanduser(args.out))) / 'figures/index.md'}")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
