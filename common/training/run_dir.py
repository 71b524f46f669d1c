"""Run directories: their names, `config.json` (settings and provenance) and `results.json`."""

import fcntl
import glob
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from common import backend
from common.cores import usable_cores
from common.errors import UserError
from common.files import read_json, shortened, write_json
from common.flag_types import OWN
from common.parsers import RESUMABLE_CHANGES
from common.training.run_files import check_run_files, read_config


def versions():
    """Return a dict of the versions that a result depends on, without packages that are not installed.

    Of a script that does without Keras, no backend is named.
    """
    installed = {"python": platform.python_version(), "machine": f"{platform.machine()}, {os.cpu_count()} cores"}
    for package in ("keras", "tensorflow", "jax", "torch", "numpy", "pillow"):
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS") or str(usable_cores())  # other sums, other last digits
    return installed | {"threads": threads} | ({"backend": backend.backend_name()} if sys.modules.get("keras") else {})


def git_commit():
    """Return the commit of this checkout, with '+' if files differ from it, or None outside a checkout."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        has_changes = git("status", "--porcelain")
        return f"{commit}+" if has_changes else commit
    except (OSError, subprocess.SubprocessError):
        return None


def provenance(args):
    """Return the provenance of a result for `config.json`: flags, command line, package versions and git commit."""
    flags = dict(sorted(vars(args).items()))
    command = shlex.join(["python", *sys.argv])
    return {"flags": flags, "command": command, "versions": versions(), "git_commit": git_commit()}


def run_name(args):
    """Return the name of a run, `<dataset>-<size>-<variant>-s<seed>`, safe as a folder name.

    The name of a script that makes its data itself begins with the variant.
    """
    return shortened(_safe(f"{_data_name(args)}{args.variant}")) + f"-s{args.seed}"


def _data_name(args):
    """Return the part of a run's name that tells its data, "" if it has no flag --dataset."""
    if not hasattr(args, "dataset"):
        return ""
    source = args.dataset
    if source.startswith(OWN):
        kind, _, path = source.partition(":")
        source = f"{kind}-{Path(path).expanduser().resolve().name}"
    return f"{source}-{args.size}-" if hasattr(args, "size") else f"{source}-"


def _safe(name):
    """Return a name without characters that a folder name should not have."""
    return re.sub(r"[^\w.=-]+", "_", name)


def run_dir_of(args, article):
    """Return the path `<out>/<article>/<run name>`, or the folder that --resume names."""
    return Path(args.resume) if isinstance(args.resume, str) else Path(args.out) / article / run_name(args)


def open_run(args, article, images, fixed_flags=(), fingerprint=None):
    """Make or reopen `<out>/<article>/<run name>/`, or the folder that --resume names, and return its path.

    The directory is locked: it belongs to this process until that ends. `config.json` (every flag, the number of
    training images, versions and git commit) is written now for a new run, and by `accept_run` for one that goes on.
    A run that goes on may be longer and lie elsewhere.

    Args:
        args: resolved flags.
        article: str, folder of the run.
        images: int, number of training images.
        fixed_flags: names of flags that must not change on resume, e.g. "steps" when the learning rate falls with them.
        fingerprint: number of the training images, by which a folder that was moved is recognised; or None.

    Raises:
        UserError: if the run exists and --resume was not given, was started with other settings or other data, or is
            being trained by another process; if --resume finds only runs with other flags, and --new was not given.
    """
    run_dir = run_dir_of(args, article)
    if args.resume and not args.new and not (run_dir / "config.json").exists():
        _refuse_beside_others(run_dir, args)
    config = {"article": article, **provenance(args), "images": int(images), "images_fingerprint": fingerprint}
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {run_dir}: {error.strerror}; choose another --out") from None
    if (run_dir / "config.json").exists() and not args.resume:
        raise UserError(f"{run_dir} holds a run already: add --resume to continue it, or delete it to start again")
    _lock(run_dir)
    if (run_dir / "config.json").exists():
        old = read_config(run_dir)
        if isinstance(args.resume, str):
            config["command"] = _of_length(old.get("command"), args, old["flags"])
        _check_same(old, config, run_dir, RESUMABLE_CHANGES.difference(fixed_flags))
        for stale in run_dir.rglob(".part-*"):  # of a process that was killed while it wrote
            stale.unlink(missing_ok=True)
        check_run_files(run_dir)
        _PENDING[run_dir] = config
    else:
        write_json(run_dir / "config.json", config)
    return run_dir


def _of_length(command, args, flags):
    """Return the command that began a run, which names the flags that --resume RUN_DIR leaves out, with its new length.

    Args:
        command: str, of `config.json`.
        args: flags that the run goes on with.
        flags: dict, those of `config.json`.
    """
    length = "epochs" if getattr(args, "epochs", None) else "steps"
    value = getattr(args, length, None)
    if not isinstance(command, str) or value in (None, flags.get(length)):
        return command
    words = re.sub(r" --(steps|epochs)[ =]\S+", "", command)
    return f"{words} --{length} {value}"


def accept_run(run_dir):
    """Write the `config.json` of a run that goes on, once nothing is left that could refuse it."""
    if Path(run_dir) in _PENDING:
        write_json(Path(run_dir) / "config.json", _PENDING.pop(Path(run_dir)))


_PENDING = {}  # run directory -> its new config.json
_LOCKS = {}  # run directory -> descriptor of its open `.lock`; the lock goes with the process


def _lock(run_dir):
    key = run_dir.resolve()
    if key in _LOCKS:
        return
    try:
        descriptor = os.open(run_dir / ".lock", os.O_WRONLY | os.O_CREAT, 0o666)
    except OSError as error:
        reason = error.strerror.lower()
        raise UserError(f"cannot write to {run_dir}: {reason}; copy the run, or use another --out") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UserError(f"{run_dir} is being trained by another process: wait for it, or use another --out") from None
    except OSError:  # a file system without locks
        pass
    _LOCKS[key] = descriptor


def _refuse_beside_others(run_dir, args):
    """Refuse to begin a run where --resume may mean another one: of the same data and seed, with other flags."""
    same_data = glob.escape(_safe(_data_name(args)))
    others = sorted(str(p.parent) for p in run_dir.parent.glob(f"{same_data}*-s{args.seed}/config.json"))
    if others:
        raise UserError(
            f"nothing to resume in {run_dir}: go on with a run of other flags by --resume RUN_DIR "
            f"({', '.join(others)}), or begin this one with --new"
        )


def _check_same(old, new, run_dir, may_change):
    """Refuse, by name, to go on with a run under other settings."""
    saved_flags, now = old["flags"], new["flags"]
    if old.get("article", new["article"]) != new["article"]:
        raise UserError(f"{run_dir} is a run of {old['article']}, not of {new['article']}: use the script of that one")
    if old.get("images") != new["images"]:
        raise UserError(f"{run_dir} was started with {old.get('images')} images, the data now has {new['images']}")
    if old.get("images_fingerprint") not in (None, new["images_fingerprint"]):
        raise UserError(f"{run_dir} was started with other images than these; use another --out")
    moved = all(str(flags.get("dataset")).startswith(OWN) for flags in (saved_flags, now))
    if moved and old.get("images_fingerprint") is not None:
        may_change = {*may_change, "dataset"}  # the same images in another place
    for flag in sorted(saved_flags.keys() - may_change):  # one that is newer than the run was its default
        if saved_flags.get(flag) != now.get(flag):
            name = flag.replace("_", "-")
            raise UserError(
                f"{run_dir} was started with --{name} {saved_flags.get(flag)}, not {now.get(flag)}; use another --out"
            )
    versions_then = old.get("versions") if isinstance(old.get("versions"), dict) else {}
    changed = {k: (v, new["versions"].get(k)) for k, v in versions_then.items() if new["versions"].get(k) != v}
    if changed:
        what = ", ".join(f"{k} {a} -> {b}" for k, (a, b) in changed.items())
        print(f"note: this run was started with other versions ({what}); the result may differ in the last digits")


def peak_memory():
    """Return {"peak_memory_mb": ...} of this process, and with an accelerator "peak_device_memory_mb", in MiB."""
    status = Path("/proc/self/status")  # on Linux: `getrusage` also counts the program that started this one
    if status.exists():
        host = int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    else:
        host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    device = backend.peak_device_memory() if sys.modules.get("keras") else None
    return {"peak_memory_mb": host} | ({} if device is None else {"peak_device_memory_mb": device / 2**20})


def write_results(run_dir, metrics, references=None, **extra):
    """Write `results.json` of a run, with the process's `peak_memory` and the provenance from its `config.json`.

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
            f"these results are not finite: {', '.join(not_finite)}; nothing was written to {run_dir}/results.json",
            topic="nan",
        )
    config = read_json(Path(run_dir) / "config.json") if (Path(run_dir) / "config.json").exists() else {}
    origin = {key: config[key] for key in ("command", "versions", "git_commit") if key in config}
    numbers = {name: float(value) for name, value in metrics.items()}
    write_json(
        Path(run_dir) / "results.json",
        {"metrics": numbers, "references": references or {}, **peak_memory(), **origin, **extra},
    )
