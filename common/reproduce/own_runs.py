"""Runs that a script made by itself, outside `make reproduce-all`, and the listed run that each one is."""

import os
import shlex
from pathlib import Path

from common.errors import UserError
from common.files import read_json
from common.reproduce import lists

# flags with which a run is still the listed one: they say where it is, how long it trains and on what
FREE_FLAGS = {
    "batch-size", "data-dir", "dataset", "distribute", "epochs", "every", "format", "limit", "mixed-precision", "new",
    "out", "preset", "resume", "seed", "seeds", "jobs", "steps",
}  # fmt: skip
NOT_RUNS = ("reproduction", "report", "figures", "site", "site.part")  # folders of --out that hold none


def own_runs(out):
    """Return the folders of the finished runs below --out that no `make reproduce-all` made.

    The trainings of a comparison are part of it and not listed.

    Args:
        out: Path, folder of the runs.
    """
    run_dirs = []
    for folder, names, files in os.walk(out):
        folder = Path(folder)
        names[:] = sorted(name for name in names if folder != out or name not in NOT_RUNS)
        if folder != out and ("results.json" in files or any(name.endswith(".png") for name in files)):
            is_plots = folder.name in ("figures", "samples", "reconstructions", "export")
            if not is_plots:
                run_dirs.append(folder)
            if is_plots or is_comparison(folder):
                names.clear()
        elif "figures" in names and folder != out:
            run_dirs.append(folder)
    return run_dirs


def pictures_of(folder):
    """Return the names of a run's pictures, PNG and GIF, relative to its folder."""
    files = [*folder.glob("*"), *folder.glob("figures/*")]
    return sorted(str(path.relative_to(folder)) for path in files if path.suffix in (".png", ".gif"))


def own_entry(folder, spec, out):
    """Return the entry that `reproduction.json` would have for an own run.

    Args:
        folder: Path of the run.
        spec: dict, the listed run that it is, or {}.
        out: Path, folder of the runs.
    """
    command, dataset = command_of(folder), dataset_of(folder)
    seconds = _read(folder / "results.json").get("metrics", {})
    seconds = seconds.get("train_seconds") if isinstance(seconds, dict) else None
    return {
        "state": "finished",
        "command": f"python {shlex.join([command[0], *command[1]])}" if command else "",
        "seconds": seconds if isinstance(seconds, int | float) else None,
        "directory": os.path.relpath(folder, out),
        "preset": preset_of(folder),
        "dataset": dataset,
        "fallback": bool(dataset and spec.get("dataset") and dataset != spec["dataset"]),
    }


def is_comparison(folder):
    """Return whether a folder is that of a comparison, whose trainings lie below it."""
    return "train_flags" in _read(folder / "results.json")


def command_of(folder):
    """Return (name of the script, its other arguments) of a run's folder, or None if the folder does not say."""
    for name in ("config.json", "results.json"):
        command = _read(folder / name).get("command")
        try:
            words = shlex.split(command) if isinstance(command, str) else []
        except ValueError:
            continue
        if len(words) > 1:
            return Path(words[1]).name, words[2:]
    return None


def find_own_run(spec, folders, out, needed=None):
    """Return the folder of the newest own run that is a listed one, or None.

    It has the same script and flags, but for `FREE_FLAGS`. It is on the listed data set; if that has a fallback, any
    data set will do, the listed one first.

    Args:
        spec: dict, the run's table in the list.
        folders: list of `own_runs`.
        out: Path, folder of the runs.
        needed: Path of the run that this one comes after, or None.
    """
    if "after" in spec and spec["folder"].startswith(f"{{{spec['after']}}}"):
        inner = spec["folder"].removeprefix(f"{{{spec['after']}}}/")
        folder = needed and needed / inner
        return folder if folder and _is_complete(folder, spec) else None
    ranked = []
    for folder in folders:
        pattern = lists.fill(spec["folder"], dict.fromkeys(lists.PLACEHOLDERS, "*"))
        if folder.relative_to(out).match(pattern) and _is_complete(folder, spec) and _is_the_listed(folder, spec):
            rank = dataset_of(folder) == spec.get("dataset"), (folder / spec["leaves"][0]).stat().st_mtime
            ranked.append((rank, folder))
    return max(ranked, default=(None, None))[1]


def dataset_of(folder):
    """Return the data set of a run, or None if its folder does not say."""
    flags = _read(folder / "config.json").get("flags")
    dataset = flags.get("dataset") if isinstance(flags, dict) else _read(folder / "results.json").get("dataset")
    return dataset if isinstance(dataset, str) else None


def preset_of(folder):
    """Return the preset of a run, or None if its folder does not say."""
    flags = _read(folder / "config.json").get("flags")
    preset = flags.get("preset") if isinstance(flags, dict) else None
    if command := command_of(folder):
        preset = preset or dict(_flags(command[1])).get("preset", [None])[0]
    return preset if preset in lists.PRESETS else None


def _is_complete(folder, spec):
    return all(os.path.isfile(folder / name) for name in spec["leaves"])


def _is_the_listed(folder, spec):
    """Return whether a run's command is that of the list, but for `FREE_FLAGS`, on a data set that will do."""
    script, *arguments = shlex.split(f"{spec['command']} {spec.get(preset_of(folder), '')}")
    command = command_of(folder)
    settings = lambda words: {flag: values for flag, values in _flags(words) if flag not in FREE_FLAGS}
    if command is None:
        return not settings(arguments) and "results.json" not in spec["leaves"]
    if command[0] != Path(script).name or settings(command[1]) != settings(arguments):
        return False
    given = dict(_flags(arguments)).get("dataset", ["{dataset}"])[0]
    listed = spec.get("dataset") if given == "{dataset}" else given
    return listed is None or dataset_of(folder) == listed or (given == "{dataset}" and "fallback" in spec)


def _flags(words):
    """Return a list of (flag, list of its values) of a command line."""
    flags = []
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            flags.append((name, [value] if value else []))
        elif flags:
            flags[-1][1].append(word)
    return flags


def _read(path):
    """Return the dict in a JSON file, {} if it is missing, damaged or no dict."""
    try:
        content = read_json(path) if path.is_file() else {}
    except UserError:
        return {}
    return content if isinstance(content, dict) else {}
