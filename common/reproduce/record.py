"""`reproduction.json`: the state of every run, as the page reads it."""

import os
import shlex

from common.errors import UserError
from common.files import read_json, write_json
from common.reproduce import plan

# names that earlier versions wrote into the file -> today's names
RENAMED_STATES = {"not at hand": "data missing", "held up": "blocked"}


def write_record(path, all_runs, preset, selected):
    """Write the state of every run, with paths relative to the file's folder.

    An unfinished run that is not selected keeps its last entry, which another preset or machine may have written.

    Args:
        path: Path of `reproduction.json`.
        all_runs: dict key -> `plan.Run`.
        preset: the preset asked for.
        selected: list of the runs that this call runs.
    """

    def relative(name):
        return os.path.relpath(plan.ROOT / name, path.parent)

    entries = {}
    for run in all_runs.values():
        output_dir = run.output_dir() if run.state == "finished" else None
        entries[run.key] = {
            "state": run.state,
            "why": run.reason,
            "command": f"python {shlex.join(run.command)}",
            "seconds": round(run.seconds, 1),
            "directory": relative(output_dir) if output_dir else None,
            "log": relative(run.log),
            "preset": run.preset if isinstance(run.spec["minutes"], dict) else None,
            "dataset": run.dataset,
            "fallback": run.dataset != run.spec.get("dataset"),
        }
    previous = read_record(path)["runs"]
    for key in entries.keys() & previous.keys() - {run.key for run in selected}:
        if entries[key]["state"] != "finished":
            entries[key] = previous[key]
    write_json(path, {"preset": preset, "runs": entries})


def read_record(path):
    """Return what `write_record` wrote, without any run if the file is missing or damaged."""
    try:
        content = read_json(path)
        runs = {key: _rename_state(entry) for key, entry in dict(content["runs"]).items()}
        return {"preset": content["preset"], "runs": runs}
    except (UserError, KeyError, TypeError, ValueError):
        return {"preset": "quick", "runs": {}}


def _rename_state(entry):
    """Return a run's entry with the present name of its state."""
    state = entry.get("state") if isinstance(entry, dict) else None
    if isinstance(state, str) and state in RENAMED_STATES:
        return entry | {"state": RENAMED_STATES[state]}
    return entry
