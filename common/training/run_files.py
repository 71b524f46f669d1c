"""The files of a run directory that a resumed run reads, and what each must hold."""

import json
import math
import os
from pathlib import Path

from common.errors import UserError
from common.files import read_json
from common.training.log import read_log


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


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
    "modes.json": _by_step(_number),
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
