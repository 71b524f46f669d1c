"""Run directories: their names, `config.json` (settings and provenance) and `results.json`."""

import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from common.errors import UserError
from common.files import read_json, write_json

# Flags that may change on resume: a resumed run may be longer, and its folders may have moved.
RESUMABLE_CHANGES = {"steps", "epochs", "resume", "out", "data_dir"}


def versions():
    """Return a dict of the versions that a result depends on. Packages that are not installed are left out."""
    installed = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "pillow"):
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    import keras

    return {**installed, "backend": keras.backend.backend()}


def git_commit():
    """Return the commit of this checkout, with '+' if files differ from it, or None outside a checkout."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        has_changes = git("status", "--porcelain", "--untracked-files=no")
        return f"{commit}+" if has_changes else commit
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(args):
    """Return the provenance of a result for `config.json`: flags, command line, package versions and git commit."""
    flags = dict(sorted(vars(args).items()))
    command = " ".join(["python", *sys.argv])
    return {"flags": flags, "command": command, "versions": versions(), "git_commit": git_commit()}


def run_name(args):
    """Return the name of a run, `<dataset>-<size>-<variant>-s<seed>`, safe as a folder name."""
    source = args.dataset
    if source.startswith("folder:"):
        source = "folder-" + Path(source.removeprefix("folder:")).expanduser().resolve().name
    return re.sub(r"[^\w.=-]+", "_", f"{source}-{args.size}-{args.variant}-s{args.seed}")


def open_run(args, article, images, fixed_flags=()):
    """Make or reopen the run directory `<out>/<article>/<run name>/`, and write its `config.json`.

    `config.json` holds every flag, the number of training images, versions and git commit.

    Args:
        args: flags of `common.cli.parser`, with the preset applied.
        article: str, folder of the article.
        images: int, number of training images.
        fixed_flags: names of flags that must not change on resume, e.g. "steps" when the learning-rate schedule
            depends on it. Without it, the flags in `RESUMABLE_CHANGES` may change.

    Returns:
        Path of the run directory.

    Raises:
        UserError: if the run exists and --resume is missing, or if it was started with other settings or other data.
    """
    run_dir = Path(args.out) / article / run_name(args)
    config = {"article": article, **provenance(args), "images": int(images)}
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {run_dir}: {error.strerror}; choose another --out") from None
    if (run_dir / "config.json").exists():
        if not args.resume:
            raise UserError(f"{run_dir} holds a run already: add --resume to continue it, or delete it to start again")
        _check_same(read_json(run_dir / "config.json"), config, run_dir, RESUMABLE_CHANGES.difference(fixed_flags))
        for stale in run_dir.rglob(".part-*"):  # temporary file of a process that was killed while it wrote
            stale.unlink(missing_ok=True)
    write_json(run_dir / "config.json", config)
    return run_dir


def _check_same(old, new, run_dir, may_change):
    """Raise UserError if a flag outside `may_change` or the data differ from the saved config. Note other versions."""
    if not isinstance(old, dict) or not isinstance(old.get("flags"), dict):
        raise UserError(f"{run_dir}/config.json is damaged (it names no flags); use another --out")
    saved_flags, current_flags = old["flags"], new["flags"]
    # A flag that the saved run lacks is newer than the run, which then had its default.
    for flag in sorted(saved_flags.keys() - may_change):
        saved, current = saved_flags.get(flag), current_flags.get(flag)
        if saved != current:
            name = flag.replace("_", "-")
            raise UserError(f"{run_dir} was started with --{name} {saved}, not {current}; use another --out")
    if old.get("images") != new["images"]:
        raise UserError(
            f"{run_dir} was started with {old.get('images')} images, the data now has {new['images']}; "
            "restore the data or use another --out"
        )
    changes = [
        f"{package} {version} -> {new['versions'].get(package)}"
        for package, version in old.get("versions", {}).items()
        if new["versions"].get(package) != version
    ]
    if changes:
        print(
            f"note: this run was started with other versions ({', '.join(changes)}); "
            "the result may differ in the last digits"
        )


def write_results(run_dir, metrics, references=None, **extra):
    """Write `results.json` of a run, with the provenance from its `config.json`.

    Args:
        run_dir: path of the run directory.
        metrics: dict name -> number.
        references: dict of published values (default: none).
        **extra: further entries.

    Raises:
        UserError: if a metric is NaN or infinite. Then nothing is written.
    """
    not_finite = [name for name, value in metrics.items() if not abs(float(value)) < float("inf")]
    if not_finite:
        raise UserError(
            f"these results are not finite: {', '.join(not_finite)}; nothing was written to {run_dir}/results.json"
        )
    config = read_json(Path(run_dir) / "config.json") if (Path(run_dir) / "config.json").exists() else {}
    origin = {key: config[key] for key in ("command", "versions", "git_commit") if key in config}
    numbers = {name: float(value) for name, value in metrics.items()}
    write_json(Path(run_dir) / "results.json", {"metrics": numbers, "references": references or {}, **origin, **extra})
