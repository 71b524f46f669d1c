"""`log.csv`: one row per interval of a training, in which a value that was not measured is blank."""

import csv
import io
import itertools

from common.errors import UserError


def read_log(path):
    """Return the rows of a `log.csv` as dicts of numbers; [] if there is none. Blank cells are left out.

    Raises:
        UserError: if the file is damaged.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if not {"step", "seconds"} <= set(reader.fieldnames or ()):
                raise ValueError("its first line does not name step and seconds")
            rows = [
                {name: int(cell) if name == "step" else float(cell) for name, cell in row.items() if cell != ""}
                for row in reader
            ]
        if any(not {"step", "seconds"} <= row.keys() for row in rows):
            raise ValueError("a row has no step or no seconds")
        steps = [row["step"] for row in rows]
        if steps != sorted(set(steps)) or min(steps, default=0) < 0:
            raise ValueError("its steps do not rise")
        return rows
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to go on without its history") from None


def format_log(rows):
    """Return the text of a `log.csv` with a column for every name that occurs, in the order in which they occur."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def last_values(rows, *names):
    """Return {name: its value in the newest row that has it}; a name that no row has is left out."""
    return {name: row[name] for row in rows for name in names if name in row}


def log_curves(rows, *names):
    """Return {name: (steps, values)} of the rows that have the name; a name that no row has is left out."""
    curves = {name: [(row["step"], row[name]) for row in rows if name in row] for name in names}
    return {name: tuple(map(list, zip(*points, strict=True))) for name, points in curves.items() if points}


def train_seconds(rows):
    """Return {"train_seconds": seconds spent in training steps}, and {} for an empty log."""
    return {"train_seconds": rows[-1]["seconds"]} if rows else {}


def images_per_second(rows, batch_size):
    """Return the median pace over the intervals of a log, so that the first one's compilation does not count.

    0 for a log of fewer than two rows.
    """
    pace = [
        (b["step"] - a["step"]) * batch_size / (b["seconds"] - a["seconds"])
        for a, b in itertools.pairwise(rows)
        if b["seconds"] > a["seconds"]
    ]
    return sorted(pace)[len(pace) // 2] if pace else 0.0


def format_duration(seconds):
    """Return a duration as text, e.g. "45 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def displayed(logs):
    """Return the metrics to display: all but the losses, because a single-loss value is not informative."""
    metrics = [(name, value) for name, value in logs.items() if not name.endswith("loss")]
    return metrics or list(logs.items())


def progress_line(step, total_steps, seconds, logs):
    """Return the line that tells how far a training is: the step, the time left, and the metrics.

    Args:
        step: int, steps done.
        total_steps: int, length of the training.
        seconds: number, time that these steps took.
        logs: dict of losses and metrics.
    """
    time_left = format_duration((total_steps - step) * seconds / step)
    values = "".join(f", {name} {value:.3f}" for name, value in displayed(logs))
    return f"step {step} of {total_steps}, about {time_left} left{values}"
