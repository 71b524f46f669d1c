"""Write one page that compares the articles' figures, claims and numbers with our results.

    python -m common.reproduce.report                    # -> runs/report/index.html
    python -m common.reproduce.report --only ogan,flow/nice

It reads the articles' lists, `<article>/reproduction.toml`, and the results under --out: those of
`python -m common.reproduce`, and those of scripts that you ran yourself. The page is static and works from the disk;
the blog's pictures are linked, never stored. A result that does not exist is called missing, and the page gives the
command that makes it. If the repository holds a picture of an earlier run, the page shows that one instead.
KEXUE_LANG=zh, or a Chinese locale, makes the page Chinese, and KEXUE_LANG=en English.
"""

import os
import re
import shlex
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from common.cli import Parser, main
from common.files import atomic_write
from common.flag_types import nonempty
from common.reproduce import plan
from common.reproduce.lists import VERDICTS
from common.reproduce.own_runs import find_own_run, own_entry, own_runs, pictures_of
from common.reproduce.page import WORDS, format_duration, in_language, load_template, page_language
from common.reproduce.paths import check_writable, out_path
from common.reproduce.record import read_record
from common.reproduce.run_files import read_run
from common.reproduce.schema import summarise
from common.reproduce.sliders import sliders_of

HIDDEN_SETTINGS = {"out", "data_dir", "resume", "new"}  # they name paths, which do not affect the results


def make_parser():
    """Return the parser of `python -m common.reproduce.report`."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", default="runs", help="folder of the runs, and of the page (default runs)")
    p.add_argument(
        "--only", type=nonempty, help="articles or runs, separated by commas: ogan,flow/mixing (default: all)"
    )
    return p


def relative_url(path, page_dir):
    """Return the URL of a file relative to the page's folder, or None if the file does not exist."""
    return quote(os.path.relpath(path, page_dir)) if os.path.isfile(path) else None


def link_kind(url):
    """Return what a URL of the blog shows: "picture", "video", or "article" if the picture's own URL is unknown."""
    if not url:
        return None
    return {"": "article", ".mp4": "video"}.get(os.path.splitext(url)[1], "picture")


def format_metric(value, words):
    """Return a metric with five significant digits, or "not a number" for None; see `run_view` for `words`."""
    return words["not_a_number"] if value is None else f"{value:.5g}"


def read_if_finished(entry, damage, leaves, out, words):
    """Return (state, reason, content) of a run: its state on the page, what is wrong, and what `read_run` returns.

    Args:
        entry: dict, the run's entry in `reproduction.json`; {} if it has none.
        damage: str, what is wrong with the entry, or "".
        leaves: list of the files that the run must leave.
        out: Path, folder of the runs.
        words: see `run_view`.
    """
    content = {"settings": {}, "versions": {}, "metrics": {}, "failed": {}, "pictures": [], "damage": []}
    if damage:
        return "damaged", damage, content
    if entry.get("state") != "finished":
        state = entry.get("state") if entry.get("state") in ("failed", "running") else "missing"
        return state, entry.get("why", ""), content
    run_dir = out / entry["directory"]
    if gone := [name for name in leaves if not os.path.lexists(run_dir / name)]:
        return "missing", words["files_gone"].format(names=", ".join(gone)), content
    content = read_run(run_dir, leaves, out)
    if content["damage"]:
        return "damaged", summarise(content["damage"]), content
    return "finished", "", content


def run_view(key, spec, out, entry, preset, words, damage=""):
    """Return what the page shows of a run.

    Args:
        key: `<article>/<name>`.
        spec: dict, the run's table in the list.
        out: Path, folder of the runs.
        entry: dict, the run's entry in `reproduction.json`; {} if it has none.
        preset: preset for the command that makes a missing run.
        words: dict, the words of the page in its language, an entry of `page.WORDS`.
        damage: str, what is wrong with the entry, or "".
    """
    state, reason, content = read_if_finished(entry, damage, spec["leaves"], out, words)
    page_dir, directory = out / "report", out / (entry.get("directory") or "")
    make_command = ["make", "reproduce-all", f"PRESET={preset}", f"ONLY={key}"]
    if entry.get("dataset") not in (None, spec.get("dataset"), spec.get("fallback")):
        make_command.append(f"DATASET={entry['dataset']}")
    if (folder := os.path.relpath(out, plan.ROOT)) != "runs":
        make_command.append(f"OUT={folder}")
    return {
        "key": key,
        "anchor": re.sub(r"[^\w.-]+", "-", key),
        "done": state == "finished" or bool(content["damage"]),  # a damaged run is shown without what is damaged
        "state": state,
        "reason": reason,
        "log": relative_url(out / entry.get("log", "log.txt"), page_dir),
        "command": entry.get("command", ""),
        "make_command": shlex.join(make_command),
        "preset": entry.get("preset"),
        "dataset": entry.get("dataset"),
        "article_dataset": spec.get("dataset"),
        "fallback": entry.get("fallback", False),
        "duration": "" if entry.get("seconds", 0) is None else format_duration(entry.get("seconds", 0), words),
        "failed": content["failed"],  # trainings of a comparison
        "pictures": {name: relative_url(directory / name, page_dir) for name in content["pictures"]},
        "sliders": {
            kind: {value: relative_url(path, page_dir) for value, path in pictures.items()}
            for kind, pictures in (sliders_of(directory) if state == "finished" else {}).items()
        },
        "metrics": {name: format_metric(value, words) for name, value in content["metrics"].items()},
        "settings": {n: v for n, v in content["settings"].items() if n not in HIDDEN_SETTINGS and v is not None},
        "versions": content["versions"],
    }


def figure_view(figure, runs, article_dir, page_dir):
    """Return what the page shows of a figure: its table in the list, its run, and the URLs of its pictures."""
    run = runs.get(figure.get("run"))  # None: the repository does not make this figure
    committed_url = None
    if "committed" in figure:
        committed_url = relative_url(article_dir / "figures" / figure["committed"], page_dir)
    run_url = run and run["pictures"].get(figure["file"])
    is_smoke = run and run["preset"] == "smoke"  # its few steps make a picture that shows nothing
    shown_url = committed_url if committed_url and is_smoke else run_url or committed_url
    looked_up = {"run": run, "run_url": run_url, "committed_url": committed_url, "shown_url": shown_url}
    return {"blog": None, "kept": None, "blog_kind": link_kind(figure.get("blog"))} | figure | looked_up


def number_view(number, runs, preset, words):
    """Return what the page shows of a number: its table in the list, its run, and our value with its caveats."""
    run = runs.get(number.get("run"))
    measured = run and run["metrics"].get(number["key"])
    differences = []  # why the value is not comparable with the published one
    if measured:
        steps, published_steps = run["metrics"].get("steps"), format_metric(number.get("steps", 0), words)
        if run["preset"] != number["preset"]:
            differences.append(("other_preset", run["preset"], number["preset"]))
        if "steps" in number and steps not in (None, published_steps):
            differences.append(("other_steps", steps, published_steps))
        if run["fallback"]:
            differences.append(("other_dataset", run["dataset"], run["article_dataset"]))
    caveats = [words[kind].format(run=ours, published=published) for kind, ours, published in differences]
    # the command must use the preset that the listed number was measured with
    make_command = run and run["make_command"].replace(f"PRESET={preset}", f"PRESET={number['preset']}")
    return number | {"run": run, "measured": measured, "caveats": caveats, "make_command": make_command}


def find_entries(folder, content, out, record, own):
    """Return ({name of a listed run: its entry}, own runs that are none of the listed ones).

    A run that `make reproduce-all` has not finished is looked for among the own runs.

    Args:
        folder: name of the article's folder.
        content: dict, the article's `reproduction.toml`.
        out: Path, folder of the runs.
        record: `Record`, content of `reproduction.json`.
        own: list of `own_runs`.
    """
    entries, directories = {}, {}
    for spec in content["run"]:
        name, key = spec["name"], f"{folder}/{spec['name']}"
        entry = record.runs.get(key, {})
        if entry.get("state") != "finished" and key not in record.damaged_runs:
            own_run = find_own_run(spec, own, out, directories.get(spec.get("after")))
            entry = own_entry(own_run, spec, out) if own_run else entry
        entries[name] = entry
        if entry.get("state") == "finished":
            directories[name] = out / entry["directory"]
    others = [path for path in own if path.relative_to(out).parts[0] == folder and path not in directories.values()]
    return entries, others


def article_view(folder, content, out, record, own, language, selected=None):
    """Return what the page shows of an article.

    Args:
        folder: name of the article's folder.
        content: dict, the article's `reproduction.toml`.
        out: Path, folder of the runs.
        record: `Record`, content of `reproduction.json`.
        own: list of `own_runs`.
        language: of the page, a key of `page.WORDS`.
        selected: set of keys of runs, `<article>/<name>`, which alone are shown (default: all).
    """
    article_dir, page_dir, preset, words = plan.ROOT / folder, out / "report", record.preset, WORDS[language]
    entries, others = find_entries(folder, content, out, record, own)
    runs = {}
    for spec in content["run"]:
        key = f"{folder}/{spec['name']}"
        damage = record.damaged_runs.get(key, "")
        runs[spec["name"]] = run_view(key, spec, out, entries[spec["name"]], preset, words, damage)
    is_whole = selected is None or all(run["key"] in selected for run in runs.values())
    if is_whole:
        others = [own_run_view(path, out, preset, words) for path in others]
    else:  # without what belongs to no run
        runs = {name: run for name, run in runs.items() if run["key"] in selected}
        chosen = lambda kind: [entry for entry in content.get(kind, []) if entry.get("run") in runs]
        content = content | {"figure": chosen("figure"), "number": chosen("number"), "claim": []}
        others = []
    content = in_language(content, language)
    claims, readme = content.get("claim", []), article_dir / "README.md"
    chinese_readme = article_dir / "README.zh.md"
    if language == "zh" and chinese_readme.is_file():
        readme = chinese_readme
    verdicts = Counter(claim["verdict"] for claim in claims)
    figures = [figure_view(figure, runs, article_dir, page_dir) for figure in content.get("figure", [])]
    return content["article"] | {
        "folder": folder,
        "readme": relative_url(readme, page_dir),
        "start": next((f for f in figures if f["committed_url"]), None),  # its picture stands for the article
        "figures": figures,
        "claims": claims,
        "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS if verdicts[verdict]},
        "numbers": [number_view(number, runs, preset, words) for number in content.get("number", [])],
        "runs": list(runs.values()),
        "others": others,
    }


def own_run_view(path, out, preset, words):
    """Return what the page shows of an own run that is none of the listed ones; see `run_view`."""
    results = ["results.json"] if (path / "results.json").is_file() else []
    spec = {"leaves": [*results, *pictures_of(path)]}
    return run_view(os.path.relpath(path, out), spec, out, own_entry(path, spec, out), preset, words)


def render(out, only=None, language="en", links=()):
    """Return the page as HTML.

    Args:
        out: absolute Path, folder of the runs.
        only: str, articles and runs separated by commas (default: all); see `plan.select_runs`.
        language: a key of `page.WORDS` (default English).
        links: (URL, text) of links at the top of the page.

    Raises:
        UserError: if `only` names something unknown.
    """
    record, own, selected = read_record(out / "reproduction.json"), own_runs(out), None
    if only:
        all_runs = plan.make_plan(record.preset, os.path.relpath(out, plan.ROOT))
        selected = {run.key for run in plan.select_runs(all_runs, only)}
    articles = [
        article_view(folder, content, out, record, own, language, selected)
        for folder, content in plan.read_lists().items()
        if selected is None or any(key.split("/")[0] == folder for key in selected)
    ]
    runs = [run for article in articles for run in (*article["runs"], *article["others"])]
    return load_template().render(
        words=WORDS[language],
        links=links,
        articles=articles,
        damage=record.damage,
        presets=sorted({run["preset"] for run in runs if run["done"] and run["preset"]}) or [record.preset],
        counts=Counter(run["state"] for run in runs),
    )


def run(args):
    """Write the page to `<out>/report/index.html` and print its path."""
    out = out_path(args.out)
    html = render(out, args.only, page_language())
    check_writable(out, args.out)
    atomic_write(out / "report/index.html", lambda path: path.write_text(html, encoding="utf-8"))
    print(Path(os.path.normpath(os.path.expanduser(args.out))) / "report/index.html")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
