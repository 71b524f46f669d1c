"""`reproduction.json`: the state of every run, as the page reads it."""

import os
import shlex
from dataclasses import dataclass, field

from common.files import write_json
from common.reproduce import plan
from common.reproduce.paths import move_aside
from common.reproduce.run_files import RECORD, RECORD_ENTRY, read
from common.reproduce.schema import describe, summarise

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
    previous = read_record(path)
    if damage := [*previous.damage, *previous.damaged_runs.values()]:
        print(f"{summarise(damage)}; kept as {move_aside(path).name} and written anew", flush=True)
    for key in entries.keys() & previous.runs.keys() - {run.key for run in selected}:
        if entries[key]["state"] != "finished":
            entries[key] = previous.runs[key]
    write_json(path, {"preset": preset, "runs": entries})


@dataclass
class Record:
    """The content of `reproduction.json`.

    Args:
        preset: the preset that was asked for last.
        runs: dict key -> entry of a run, of those entries that are sound.
        damage: list of lines on the file itself, at most one.
        damaged_runs: dict key -> line on the entry of a run.
    """

    preset: str = "quick"
    runs: dict = field(default_factory=dict)
    damage: list = field(default_factory=list)
    damaged_runs: dict = field(default_factory=dict)


def read_record(path):
    """Return the `Record` that `write_record` wrote; what is damaged is left out and named. A missing file is empty."""
    record = Record()
    content, errors = read(path, RECORD)
    if errors:
        record.damage.append(f"{path.name} is damaged: {summarise(errors)}")
    record.preset = content.get("preset", record.preset)
    for key, entry in content.get("runs", {}).items():
        name, errors = f"the entry {describe(key)}", []
        sound = RECORD_ENTRY(_rename_state(entry), name, errors)
        if not errors and sound["state"] == "finished" and not sound.get("directory"):
            errors = [f"{name}: directory is missing"]
        if errors:
            record.damaged_runs[key] = f"{path.name} is damaged: {summarise(errors)}"
        else:
            record.runs[key] = sound
    return record


def _rename_state(entry):
    """Return a run's entry with the present name of its state."""
    state = entry.get("state") if isinstance(entry, dict) else None
    if isinstance(state, str) and state in RENAMED_STATES:
        return entry | {"state": RENAMED_STATES[state]}
    return entry
