"""A run directory: what was asked for, what came out, and files that appear whole or not at all."""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from common.errors import UserError
from common.files import read_json, write_json

RESUMABLE_CHANGES = {"steps", "epochs", "resume", "out", "data_dir"}  # a resumed run may be longer and lie elsewhere


def versions():
    """Versions of what a result depends on; a package that is not installed is left out."""
    found = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "pillow"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    import keras

    return {**found, "backend": keras.backend.backend()}


def git_commit():
    """The commit of this checkout, with '+' if files differ from it; None outside a checkout."""

    def git(*words):
        return subprocess.run(
            ["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(args):
    """How a result comes about, for `config.json`: every flag, the command, versions and git commit."""
    flags = dict(sorted(vars(args).items()))
    command = " ".join(["python", *sys.argv])
    return {"flags": flags, "command": command, "versions": versions(), "git_commit": git_commit()}


def run_name(args):
    """`<dataset>-<size>-<variant>-s<seed>`, safe as a folder name."""
    source = args.dataset
    if source.startswith("folder:"):
        source = "folder-" + Path(source.removeprefix("folder:")).expanduser().resolve().name
    return re.sub(r"[^\w.=-]+", "_", f"{source}-{args.size}-{args.variant}-s{args.seed}")


def open_run(args, article, images, fixed_flags=()):
    """Makes or reopens `<out>/<article>/<run name>/` and returns its path.

    Writes `config.json`: every flag, the number of training images, versions and git commit. A run that goes on may be
    longer and lie elsewhere, unless `fixed_flags` names the flag: that the steps, say, must be those it was begun with.

    Raises:
        UserError: if the run exists and --resume was not given, or was begun with other settings or other data.
    """
    run = Path(args.out) / article / run_name(args)
    config = {"article": article, **provenance(args), "images": int(images)}
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {run}: {error.strerror}; choose another --out") from None
    if (run / "config.json").exists():
        if not args.resume:
            raise UserError(f"{run} holds a run already: add --resume to go on with it, or delete it to begin again")
        _check_same(read_json(run / "config.json"), config, run, RESUMABLE_CHANGES.difference(fixed_flags))
        for stale in run.rglob(".part-*"):  # of a process that was killed while it wrote
            stale.unlink(missing_ok=True)
    write_json(run / "config.json", config)
    return run


def _check_same(old, new, run, may_change):
    """Refuses, by name, to go on with a run under other settings."""
    if not isinstance(old, dict) or not isinstance(old.get("flags"), dict):
        raise UserError(f"{run}/config.json is damaged (it names no flags); use another --out")
    saved_flags, now = old["flags"], new["flags"]
    for flag in sorted(saved_flags.keys() - may_change):  # one that is newer than the run was its default
        if saved_flags.get(flag) != now.get(flag):
            name = flag.replace("_", "-")
            raise UserError(
                f"{run} was begun with --{name} {saved_flags.get(flag)}, not {now.get(flag)}; use another --out"
            )
    if old.get("images") != new["images"]:
        raise UserError(f"{run} was begun on {old.get('images')} images, the data now has {new['images']}")
    changed = {
        k: (v, new["versions"].get(k)) for k, v in old.get("versions", {}).items() if new["versions"].get(k) != v
    }
    if changed:
        what = ", ".join(f"{k} {a} -> {b}" for k, (a, b) in changed.items())
        print(f"note: this run was begun with other versions ({what}); the result may differ in the last digits")


def write_results(run, metrics, references=None, **more):
    """Writes `results.json`: flat `metrics` (name -> number), `references` (published values), and how they came about.

    A metric that is not finite is refused: it would be a wrong number, or no number at all.
    """
    bad = [name for name, value in metrics.items() if not abs(float(value)) < float("inf")]
    if bad:
        raise UserError(f"these results are not finite: {', '.join(bad)}; nothing was written to {run}/results.json")
    config = read_json(Path(run) / "config.json") if (Path(run) / "config.json").exists() else {}
    kept = {key: config[key] for key in ("command", "versions", "git_commit") if key in config}
    numbers = {name: float(value) for name, value in metrics.items()}
    write_json(Path(run) / "results.json", {"metrics": numbers, "references": references or {}, **kept, **more})
