"""The files of a run: what each must hold, and what is damaged in them."""

import json
import os
import shlex

from common.errors import UserError
from common.reproduce.lists import PRESETS
from common.reproduce.schema import (
    INVALID,
    DictOf,
    ListOf,
    Scalar,
    Table,
    is_inner_path,
    is_number,
    is_text,
    read_file,
    summarise,
)

STATES = ("waiting", "running", "finished", "failed", "data missing", "blocked")


def is_setting(value):
    """Return whether a value can be that of a flag."""
    return value is None or isinstance(value, bool) or is_number(value) or is_text(value)


class Setting:
    """Check of the value of a flag: text, a number, true, false, null, or a list of these."""

    expected = "the value of a flag"
    scalar = Scalar(expected, is_setting)
    items = ListOf(scalar)

    def __call__(self, value, name, errors):
        return (self.items if isinstance(value, list) else self.scalar)(value, name, errors)


TEXT = Scalar("text", is_text)
BOOL = Scalar("true or false", lambda value: isinstance(value, bool))
NUMBER = Scalar("a finite number", is_number)
SECONDS = Scalar("a number of seconds", lambda value: is_number(value, 0, 1e10))
PRESET = Scalar(f"one of {', '.join(PRESETS)}", lambda value: value in PRESETS)
PATH = Scalar("a path inside the folder of the runs", is_inner_path)
TEXT_OR_NULL = Scalar("text or null", lambda value: value is None or is_text(value))

CONFIG = Table({"flags": DictOf(Setting()), "versions": DictOf(TEXT)}, {"git_commit": TEXT_OR_NULL}, open_ended=True)


class Results:
    """Check of `results.json` of a training or, with "train_flags", of a comparison."""

    training = Table(
        {"metrics": DictOf(NUMBER, fill=None)},
        {"failed": DictOf(TEXT), "versions": DictOf(TEXT), "git_commit": TEXT_OR_NULL},
        open_ended=True,
    )
    comparison = Table(
        training.required | {"train_flags": ListOf(TEXT), "seeds": NUMBER}, training.checks, open_ended=True
    )

    def __call__(self, value, name, errors):
        is_comparison = isinstance(value, dict) and "train_flags" in value
        return (self.comparison if is_comparison else self.training)(value, name, errors)


# run.json, by which `plan.Run` knows what it has done
RUN_STATE = Table({"signature": ListOf(TEXT), "seconds": SECONDS, "finished": BOOL}, {}, open_ended=True)
RECORD = Table({"preset": PRESET, "runs": DictOf(Scalar("", lambda value: True))}, {}, open_ended=True)
# an entry of reproduction.json; earlier versions wrote fewer keys
RECORD_ENTRY = Table(
    {"state": Scalar(f"one of {', '.join(STATES)}", lambda value: value in STATES)},
    {
        "why": TEXT,
        "command": TEXT,
        "seconds": SECONDS,
        "directory": Scalar(f"{PATH.expected} or null", lambda value: value is None or is_inner_path(value)),
        "log": PATH,
        "preset": Scalar(f"{PRESET.expected} or null", lambda value: value is None or value in PRESETS),
        "dataset": TEXT_OR_NULL,
        "fallback": BOOL,
    },
    open_ended=True,
)


def read(path, check):
    """Return (sound content, errors) of a JSON file.

    Args:
        path: path of the file. If nothing is there, the content is {} and there is no error.
        check: check of the content.
    """
    if not os.path.lexists(path):
        return {}, []
    try:
        content = read_file(path, json.loads)
    except UserError as error:
        return {}, [str(error)]
    errors = []
    sound = check(content, "" if isinstance(content, dict) else "the content", errors)
    return {} if sound is INVALID else sound, errors


def read_picture(path, index=0):
    """Return the pixels of a picture as an array.

    Args:
        path: path of a PNG or GIF file.
        index: int, number of the frame, or None for an array of all frames.

    Raises:
        UserError: if the file is damaged. The text says why; it does not name the file.
    """
    import imageio.v3 as iio

    try:
        if not os.path.getsize(path):
            raise UserError("it is empty")
        return iio.imread(path, plugin="pillow", index=index)
    except UserError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly every type on damaged data
        raise UserError(f"it is no readable picture ({' '.join(str(error).split())[:100]})") from None


def file_damage(path, errors, leaves, run_dir, out):
    """Return the line of the page on a damaged file: which one it is, what is wrong, and what to do.

    Args:
        path: path of the file.
        errors: list of str, not empty.
        leaves: list of the files that the run must leave. If one of them is deleted, the run is made again.
        run_dir: path of the run's folder.
        out: path of the folder of the runs.
    """

    def shown(name):
        return os.fsencode(os.path.relpath(name, out)).decode(errors="replace")

    is_leaf = os.path.relpath(path, run_dir) in leaves
    delete = "delete it" if is_leaf else f"delete the folder {shown(run_dir)}"
    return f"{shown(path)} is damaged: {summarise(errors)}; {delete} to make it again"


def read_run(run_dir, leaves, out):
    """Return what the page shows of a finished run, without what is damaged.

    Args:
        run_dir: Path of the folder that holds `leaves`.
        leaves: list of the files that the run must leave, relative to `run_dir`.
        out: Path of the folder of the runs.

    Returns:
        Dict with "settings", "versions", "metrics" (None stands for what is no finite number), "failed" (trainings of
        a comparison), "pictures" (list of the sound ones) and "damage" (list of lines).
    """
    damage = {}  # path -> line

    def note(path, errors):
        if errors and path not in damage:
            damage[path] = file_damage(path, errors, leaves, run_dir, out)

    def read_and_note(path, check):
        content, errors = read(path, check)
        note(path, errors)
        return content

    results = read_and_note(run_dir / "results.json", Results())
    config = read_and_note(run_dir / "config.json", CONFIG)
    provenance = results | config
    if "versions" not in provenance:  # a comparison has no config.json of its own, but its trainings do
        nested = min((path for path in run_dir.glob("**/config.json") if path.parent != run_dir), default=None)
        provenance = read_and_note(nested, CONFIG) if nested else {}
    versions = provenance.get("versions", {})
    if commit := provenance.get("git_commit"):
        versions = versions | {"git commit": commit}

    settings = {}
    if "train_flags" in results:  # of a comparison: the flags that it forwarded to its trainings
        settings = {"seeds": results.get("seeds"), "flags": shlex.join(results["train_flags"])}
    settings |= config.get("flags", {})
    pictures = []
    for name in leaves:
        if not os.path.isfile(run_dir / name):
            note(run_dir / name, ["it is not a file"])
        elif name.endswith((".png", ".gif")):
            try:
                read_picture(run_dir / name)
                pictures.append(name)
            except UserError as error:
                note(run_dir / name, [str(error)])
    return {
        "settings": settings,
        "versions": versions,
        "metrics": results.get("metrics", {}),
        "failed": results.get("failed", {}),
        "pictures": pictures,
        "damage": list(damage.values()),
    }
