"""What a training shows in TensorBoard: the numbers of `log.csv` by step, its pictures and its flags."""

from pathlib import Path

import numpy as np

from common import backend
from common.errors import UserError
from common.files import read_json

PICTURES = ("samples", "reconstructions")  # folders of a run with a picture per interval


def tensorboard_writer(run_dir):
    """Return a function that writes a row of `log.csv`, and the pictures of its step, into `<run_dir>/tensorboard/`.

    The flags of the run are written once, as a table. Without TensorFlow nothing is written.

    Args:
        run_dir: path of the run directory.
    """
    run_dir = Path(run_dir)
    opened = backend.tensorboard(run_dir / "tensorboard")
    if opened is None:
        return lambda row: None
    summary, writer = opened

    def write(row):
        with writer.as_default(row["step"]):
            for name, value in row.items():
                if name != "step":
                    summary.scalar(name, value)
            for name in PICTURES:
                path = run_dir / name / f"step-{row['step']:07d}.png"
                if path.is_file():
                    summary.image(name, _read(path)[None])
        writer.flush()

    with writer.as_default(0):
        summary.text("flags", _table(_flags(run_dir)))
    return write


def _flags(run_dir):
    """Return the flags in `config.json` of a run, {} if there are none."""
    path = run_dir / "config.json"
    try:
        return read_json(path).get("flags", {}) if path.exists() else {}
    except (UserError, AttributeError):  # damaged
        return {}


def _table(flags):
    """Return flags as a Markdown table, without those that have no value."""
    lines = [f"| {name} | {value} |" for name, value in flags.items() if value is not None]
    return "\n".join(["| flag | value |", "|---|---|", *lines])


def _read(path):
    """Return a picture as uint8 (h, w, 1 or 3)."""
    import imageio.v3 as iio

    picture = iio.imread(path)
    return np.atleast_3d(picture)[..., :3]
