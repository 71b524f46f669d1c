"""One page that sets what the articles show and claim beside what came out here.

    python -m common.reproduce.report                    # -> runs/report/index.html

Reads the lists of the articles, `<article>/reproduction.toml`, and what `python -m common.reproduce` has left under
--out. The page is static and works from the disk; the blog's pictures are linked, never stored. What was not run is
called missing, with the command that makes it; a picture kept in the repository stands in for it where there is one.
"""

import math
import os
import shlex
from collections import Counter
from pathlib import Path
from urllib.parse import quote

from common.cli import Parser, main
from common.errors import UserError
from common.files import atomic_write, read_json
from common.reproduce import plan

VERDICTS = ("stands", "stands in part", "does not stand", "not measured")
HIDDEN = {"out", "data_dir", "resume"}  # settings that say where things lie, not what came out


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--out", default="runs", help="folder of the runs, and of the page (default runs)")
    return p


def relative_url(path, page):
    """A file as the page names it: relative to its folder, quoted; None if it is not there."""
    return quote(os.path.relpath(path, page)) if path.is_file() else None


def link_kind(blog):
    """What an address at the blog is of: "picture", "film", or "article" where that of the picture is not known."""
    return {"": "article", ".mp4": "film"}.get(os.path.splitext(blog)[1], "picture") if blog else None


def results_of(where):
    """(settings, versions, metrics, what failed) of a run directory; what a script does not write is empty.

    Raises:
        UserError: if a file is damaged.
    """

    def read(path):
        content = read_json(path) if path.is_file() else {}
        if not isinstance(content, dict):
            raise UserError(f"{path} is damaged")
        return content

    config, results = read(where / "config.json"), read(where / "results.json")
    # a comparison keeps the versions with its trainings alone
    origin = results | config if "versions" in results | config else read(next(where.glob("**/config.json"), where))
    commit = origin.get("git_commit")
    versions = origin.get("versions", {}) | ({"git commit": commit} if commit else {})
    # of a comparison: what it handed on
    handed_on = (
        {"seeds": results["seeds"], "flags": shlex.join(results["train_flags"])} if "train_flags" in results else {}
    )
    return handed_on | config.get("flags", {}), versions, results.get("metrics", {}), results.get("failed", {})


def number(value):
    """A metric as the page shows it."""
    return f"{value:.5g}" if isinstance(value, int | float) and math.isfinite(value) else "not a number"


def run_view(key, listed, out, record, preset):
    """What the page shows of a run; `record` is its entry in `reproduction.json`, {} if it has none."""
    where, page = out / (record.get("directory") or ""), out / "report"
    done, why = record.get("state") == "finished", record.get("why", "")
    if done and not all((where / leaf).is_file() for leaf in listed["leaves"]):
        done, why = False, "some of what it left is gone"
    settings = versions = metrics = failed = {}
    try:
        if done:
            settings, versions, metrics, failed = results_of(where)
    except UserError as error:
        done, why = False, str(error)
    state = "finished" if done else record.get("state") if record.get("state") in ("failed", "running") else "missing"
    pictures = {leaf: relative_url(where / leaf, page) for leaf in listed["leaves"] if leaf.endswith((".png", ".gif"))}
    words = ["make", "reproduce-all", f"PRESET={preset}", f"ONLY={key}"]
    if record.get("dataset") not in (None, listed.get("dataset"), listed.get("fallback")):
        words.append(f"DATASET={record['dataset']}")
    if (folder := os.path.relpath(out, plan.ROOT)) != "runs":
        words.append(f"OUT={folder}")
    return {
        "key": key,
        "anchor": key.replace("/", "-"),
        "done": done,
        "state": state,
        "why": "" if done else why,
        "log": relative_url(out / record.get("log", "log.txt"), page),
        "command": record.get("command", ""),
        "make": shlex.join(words),
        "preset": record.get("preset"),
        "dataset": record.get("dataset"),
        "own": listed.get("dataset"),
        "fallback": record.get("fallback", False),
        "took": plan.format_duration(record.get("seconds", 0)),
        "failed": failed,  # trainings of a comparison
        "pictures": pictures if done else {},
        "metrics": {name: number(value) for name, value in metrics.items()},
        "settings": {name: value for name, value in settings.items() if name not in HIDDEN and value is not None},
        "versions": versions,
    }


def article_view(folder, listed, out, recorded):
    """What the page shows of an article: its list, with its runs looked up."""
    page, preset = out / "report", recorded["preset"]
    runs = {}
    for run in listed["run"]:
        key = f"{folder}/{run['name']}"
        runs[run["name"]] = run_view(key, run, out, recorded["runs"].get(key, {}), preset)

    figures = []
    for figure in listed.get("figure", []):
        run = runs.get(figure.get("run"))  # none makes other people's pictures again
        kept_at = "committed" in figure and relative_url(plan.ROOT / folder / "figures" / figure["committed"], page)
        picture = run and run["pictures"].get(figure["file"])
        # a few steps make a picture, but none to look at
        shown = kept_at if kept_at and run["preset"] == "smoke" else picture or kept_at
        found = {"run": run, "picture": picture, "kept_at": kept_at, "shown": shown}
        figures.append({"blog": None, "kept": None, "form": link_kind(figure.get("blog"))} | figure | found)
    numbers = []
    for entry in listed.get("number", []):
        run = runs.get(entry.get("run"))
        measured = run and run["metrics"].get(entry["key"])
        caveats = []  # why it is not to be set beside the published one
        if measured and run["preset"] != entry["preset"]:
            caveats.append(f"preset {run['preset']} in place of {entry['preset']}")
        if measured and "steps" in entry and run["metrics"].get("steps") not in (None, steps := number(entry["steps"])):
            caveats.append(f"{run['metrics']['steps']} steps in place of {steps}")
        if measured and run["fallback"]:
            caveats.append(f"{run['dataset']} in place of {run['own']}")
        # the command for the preset that the number is of
        make = run and run["make"].replace(f"PRESET={preset}", f"PRESET={entry['preset']}")
        numbers.append(entry | {"run": run, "here": measured, "doubts": caveats, "make": make})
    readme = relative_url(plan.ROOT / folder / "README.md", page)
    return listed["article"] | {
        "folder": folder,
        "readme": readme,
        "figures": figures,
        "claims": (claims := listed.get("claim", [])),
        "verdicts": {verdict: n for verdict in VERDICTS if (n := sum(c["verdict"] == verdict for c in claims))},
        "numbers": numbers,
        "runs": list(runs.values()),
    }


def render(out):
    """The page, as text."""
    import jinja2

    recorded = plan.recorded(out / "reproduction.json")
    articles = [article_view(*item, out, recorded) for item in plan.read_lists().items()]
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    how = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    template = jinja2.Environment(loader=loader, **how).get_template("report.html.jinja")
    runs = [run for article in articles for run in article["runs"]]
    counts = Counter(run["state"] for run in runs)
    presets = sorted({run["preset"] for run in runs if run["done"] and run["preset"]}) or [recorded["preset"]]
    return template.render(articles=articles, presets=presets, counts=counts)


def run(args):
    out = Path(os.path.abspath(os.path.expanduser(args.out)))  # a link stays one: addresses are relative to it
    text = render(out)
    atomic_write(out / "report/index.html", lambda path: path.write_text(text, encoding="utf-8"))
    print(Path(args.out) / "report/index.html")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
