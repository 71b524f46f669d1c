"""The files of a run directory that a resumed run or another script reads, and what each must hold."""

import argparse
import json
import math
import os
import re
from pathlib import Path

from common.data.images import CROPS, NAMES
from common.data.toy_2d import TOYS
from common.errors import UserError
from common.files import read_json, write_json
from common.training.log import read_log

MEMORY = ("peak_memory_mb", "peak_device_memory_mb")  # in `results.json`, beside the metrics


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _int_from(low):
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low


def _or_none(valid):
    return lambda value: value is None or valid(value)


def _dataset(value):
    return value in (*NAMES, *TOYS) or (isinstance(value, str) and value.startswith("folder:"))


RESTORE = "restore it, or train again into another folder"
FLAGS = {  # flags of a run that other scripts read: what each must be, and its check
    "dataset": ("a data set", _dataset),
    "size": ("a number of pixels", _int_from(1)),
    "seed": ("a whole number", _int_from(0)),
    "limit": ("a number of images or null", _or_none(_int_from(1))),
    "data_dir": ("a path or null", _or_none(lambda value: isinstance(value, str))),
    "crop": ("square, face or null", _or_none(lambda value: value in CROPS)),
    "features": ("features or null", _or_none(lambda value: value in ("classifier", "pixels", "inception"))),
}


def read_config(run_dir):
    """Return the content of `config.json` of a run, a dict with a dict "flags".

    Raises:
        UserError: if it is missing or damaged.
    """
    path = Path(run_dir) / "config.json"
    if not path.exists():
        raise UserError(f"{path} is missing: name the folder of a run")
    try:
        config = read_json(path)
    except UserError as error:
        raise UserError(f"{error}; {RESTORE}") from None
    if not isinstance(config, dict) or not isinstance(config.get("flags"), dict):
        raise UserError(f"{path} is damaged (it names no flags); {RESTORE}")
    return config


def read_flags(run_dir, *names):
    """Return flags of a finished run as `argparse.Namespace`. One that is newer than the run is None.

    Args:
        run_dir: path of the run directory.
        *names: names of `FLAGS`.

    Raises:
        UserError: if `config.json` is missing or damaged, or if one of these flags is not what it must be.
    """
    flags = read_config(run_dir)["flags"]
    for name in names:
        expected, is_valid = FLAGS[name]
        if not is_valid(flags.get(name)):
            received = json.dumps(flags.get(name))[:80]
            raise UserError(
                f"{run_dir}/config.json is damaged: its flag {name} must be {expected}. Received: {received}; {RESTORE}"
            )
    return argparse.Namespace(**{name: flags.get(name) for name in names})


def read_metrics(run_dir, with_memory=False):
    """Return the metrics in `results.json` of a finished run, a dict name -> number.

    Args:
        run_dir: path of the run directory.
        with_memory: bool, add "peak_memory_mb" and, of a run on an accelerator, "peak_device_memory_mb".

    Raises:
        UserError: if the file is missing or damaged.
    """
    results = read_json(Path(run_dir) / "results.json")
    metrics = results.get("metrics") if isinstance(results, dict) else None
    if not isinstance(metrics, dict) or not all(map(_number, metrics.values())):
        raise UserError(f"{run_dir}/results.json is damaged: it has no metrics; delete it to measure them again")
    return metrics | ({name: results[name] for name in MEMORY if _number(results.get(name))} if with_memory else {})


def _by_step(valid):
    """Return a check of {step: value}, the steps written as text."""
    return lambda content: (
        isinstance(content, dict) and all(key.isdecimal() and valid(value) for key, value in content.items())
    )


def _rescues(content):
    best, rescues = content["best_loss"], content["rescues"]
    return (best is None or _number(best)) and all(isinstance(rescue, dict) for rescue in rescues)


HISTORIES = {
    "distances.json": _by_step(_number),
    "errors.json": _by_step(_number),
    "modes.json": _by_step(_number),
    "held_out.json": _by_step(_number),
    "validation.json": _by_step(_number),
    "test.json": _by_step(_number),
    "bounds.json": _by_step(lambda value: isinstance(value, list) and len(value) == 3 and all(map(_number, value))),
    "rescues.json": _rescues,
}


def read_history(path):
    """Return the content of a history of the run, {} if there is none.

    Raises:
        UserError: if it does not hold what such a file holds.
    """
    path = Path(path)
    if not path.exists():
        return {}
    content = read_json(path)
    try:
        if HISTORIES[path.name](content):
            return content
    except (KeyError, TypeError, AttributeError):
        pass
    raise UserError(f"{path} is damaged: {json.dumps(content)[:80]}")


class MetricHistory:
    """Values of one metric during training, by step, in a JSON file of the run.

    After a resume, values newer than the checkpoint are recomputed (identically), see `forget_steps`.

    Args:
        path: the file {step: value}, such as `distances.json`; it need not exist.

    Raises:
        UserError: if the file is damaged.
    """

    def __init__(self, path):
        self.path = Path(path)
        read_history(self.path)

    @property
    def values(self):
        """The dict {step, as text: value} of the file."""
        return read_history(self.path)

    def record(self, step, value):
        """Set the value at a step and write the file."""
        write_json(self.path, self.values | {str(step): value})

    def complete(self, step, measure):
        """Call `measure(step)`, which records, if the value of that step is missing: a damaged file has lost it."""
        if str(step) not in self.values:
            measure(step)

    def curve(self):
        """Return (steps, values) in the order of steps, without step 0 (the untrained networks)."""
        values = {int(step): value for step, value in self.values.items() if step != "0"}
        return sorted(values), [values[step] for step in sorted(values)]


def forget_steps(run, keep):
    """Take the steps that a training will make again, or would not have stopped at, out of its histories and pictures.

    Args:
        run: path of the run directory.
        keep: function of a step that returns whether its values and pictures stay.
    """
    for name in HISTORIES.keys() - {"rescues.json"}:
        values = read_history(Path(run) / name)
        kept = {step: value for step, value in values.items() if keep(int(step))}
        if len(kept) < len(values):
            write_json(Path(run) / name, kept)
    for folder in ("samples", "reconstructions"):
        for path in (Path(run) / folder).glob("step-*.png"):
            if not keep(int(re.sub(r"\D", "", path.stem) or 0)):
                path.unlink()


def check_run_files(run):
    """Move what is damaged in a run that is resumed out of the way, and say so in a line each.

    A damaged history costs what it holds and nothing else; `config.json` and `checkpoint.npz`, without which a run
    cannot go on, are checked where they are read.

    Raises:
        UserError: if something that is no file or no folder stands in the way.
    """
    readers = {name: read_history for name in HISTORIES} | {"log.csv": read_log}
    for name, read in readers.items():
        path = Path(run) / name
        if os.path.lexists(path) and not path.is_file():
            raise UserError(f"{path} is not a file: move it away to go on with this run")
        try:
            read(path)
        except UserError as error:
            aside = path.with_name(f"{name}.damaged")
            os.replace(path, aside)
            print(
                f"note: {error}; going on without what it held (now {aside})",
                flush=True,
            )
    for name in ("samples", "reconstructions", "figures", "tensorboard"):
        path = Path(run) / name
        if os.path.lexists(path) and not path.is_dir():
            raise UserError(f"{path} is not a folder: move it away to go on with this run")
