"""Kill trainings over and over, and compare everything they leave with a run that was never stopped.

    python tests/soak.py                  # four scripts, 24 kills: some ten minutes on 2 cores
    python tests/soak.py --kills 100 --seed 7

Each script is run once without a stop. A second run of it is started again and again with --resume, and stopped after a
random time by a random signal: kill -9, SIGTERM, Ctrl-C, a closed terminal. In the end all files of both runs must be
equal, bit for bit: checkpoint, log, results, histories, best state, every picture. Only times may differ.
"""

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
OF_THE_PROCESS = {  # names of times and of memory, which no two processes have in common
    "seconds", "train_seconds", "images_per_second", "peak_memory_mb", "peak_device_memory_mb",
}  # fmt: skip
SCRIPTS = {
    "ogan": "ogan/train.py --dataset toy_faces --preset smoke --steps 400 --every 25",
    "glow": "flow/glow.py --dataset toy_faces --preset smoke --steps 60 --every 7",
    "rsgan": "rsgan/train.py --dataset 25gaussians --preset smoke --steps 2000 --every 50",
    "energy_gan": "energy_gan/train.py --dataset 25gaussians --preset smoke --steps 2000 --every 51 --n-energy 2",
}


def run_whole(command, out):
    """Run a training without a stop and return its run directory."""
    subprocess.run([sys.executable, *command.split(), "--out", str(out)], cwd=ROOT, check=True, capture_output=True)
    return run_directory(out)


def run_with_kills(command, out, kills, rng, report=print, longest=0.5):
    """Run a training that is stopped `kills` times, and return (its run directory, the signals that hit it).

    A signal may come at any moment up to `longest` seconds after a new row of the log; one that comes after the end of
    the run is not counted.
    """
    hits, begun = [], time.monotonic()
    words = [sys.executable, *command.split(), "--out", str(out), "--resume"]
    while True:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=listen_to_signals
        )
        if len(hits) < kills:
            before = steps_done(out)
            while process.poll() is None and not any(out.rglob("config.json")):
                time.sleep(0.05)
            wait_for_news(process, out, before)
            time.sleep(rng.uniform(0, longest))
            number = rng.choice(SIGNALS)
            if process.poll() is None:
                process.send_signal(number)
                process.communicate()
                hits.append(number.name)
                report(f"  {number.name} at step {steps_done(out)}, {time.monotonic() - begun:.0f} s")
                continue
        said, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"{command} ended with {process.returncode}:\n{said}")
        return run_directory(out), hits


def listen_to_signals():
    """Undo that a process ignores signals, which it inherits from `nohup` or a background shell."""
    for number in {*SIGNALS} - {signal.SIGKILL}:
        signal.signal(number, signal.SIG_DFL)


def wait_for_news(process, out, before):
    """Wait until a training has written a step more than `before`, so that every start gets somewhere."""
    while process.poll() is None and steps_done(out) <= before:
        time.sleep(0.02)


def steps_done(out):
    """Return the last step in the log of the run below `out`, -1 if it has none."""
    logs = list(out.rglob("log.csv"))
    lines = logs[0].read_text().splitlines() if logs else []
    return int(lines[-1].split(",")[0]) if len(lines) > 1 else -1


def run_directory(out):
    """Return the one run directory below `out`."""
    (config,) = out.rglob("config.json")
    return config.parent


def differences(a, b):
    """Return in words what differs between two run directories; times, memory and the command are not compared."""
    files = [{str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()} for run in (a, b)]
    ours = lambda names: {n for n in names if not n.startswith("tensorboard/") and n not in (".lock", "config.json")}
    names = [ours(names) for names in files]
    different = [f"only in one: {name}" for name in sorted(names[0] ^ names[1])]
    return different + [name for name in sorted(names[0] & names[1]) if _content(a / name) != _content(b / name)]


def _content(path):
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return {n: stored[n].tobytes() for n in stored.files if n.removeprefix("extra-") not in OF_THE_PROCESS}
    if path.name == "log.csv":
        with open(path, newline="") as file:
            return [{k: v for k, v in row.items() if k not in OF_THE_PROCESS} for row in csv.DictReader(file)]
    if path.name == "results.json":
        return {k: v for k, v in json.loads(path.read_text())["metrics"].items() if k not in OF_THE_PROCESS}
    if path.suffix == ".keras":
        return None  # an archive with dates; its weights are those of the checkpoint
    return path.read_bytes()


def main():
    """Run the scripts and exit with 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=24, help="over all scripts (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="of the times and signals (default 0)")
    parser.add_argument("--only", choices=SCRIPTS, nargs="+", default=list(SCRIPTS), help="scripts (default all)")
    args = parser.parse_args()
    rng, survived, failed = random.Random(args.seed), 0, []
    os.chdir(ROOT)
    for i, name in enumerate(args.only):
        kills = (args.kills - i + len(args.only) - 1) // len(args.only)
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: {SCRIPTS[name]}", flush=True)
            whole = run_whole(SCRIPTS[name], Path(folder) / "whole")
            cut, hits = run_with_kills(SCRIPTS[name], Path(folder) / "cut", kills, rng, lambda t: print(t, flush=True))
            different = differences(whole, cut)
            print(f"  {len(hits)} kills, {'different: ' + ', '.join(different) if different else 'equal in all files'}")
            survived += len(hits) * (not different)
            failed += [name] * bool(different)
    print(f"{survived} kills survived, bit-equal in all files" + (f"; not: {', '.join(failed)}" if failed else ""))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
