"""The measurement of whole trainings: its arithmetic, with stubs for the trainings."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench import scale
from common.data import images
from common.errors import UserError


def test_a_process_is_timed_and_must_succeed(tmp_path, capfd):
    script = tmp_path / "script.py"
    script.write_text("import time; time.sleep(0.3); print('not shown')")
    assert 0.3 < scale.whole_run([str(script)]) < 10 and capfd.readouterr().out == ""
    script.write_text("raise SystemExit(3)")
    with pytest.raises(UserError, match=r"script.py has failed"):
        scale.whole_run([str(script)])


def test_a_row_compares_a_training_with_as_many_bare_steps(monkeypatch, capsys):
    """A bare step takes a second before and three after the training, whose second interval takes 3 seconds a step."""
    now, commands = [0.0], []
    monkeypatch.setattr(scale.time, "perf_counter", lambda: now[0])
    array = np.zeros((90, 64, 64, 3), "uint8")
    monkeypatch.setattr(images, "load_images", lambda *_, limit, **__: SimpleNamespace(array=array[:limit]))

    def bare_job(flags, channels, steps):
        assert (flags.size, channels, flags.steps, steps) == (64, 3, 100, 20)

        def job():
            now[0] += steps * (3 if trained else 1)

        trained = []
        commands.append(trained)
        return job

    def whole_run(command):
        folder = Path(command[command.index("--out") + 1])
        commands[-1].extend(command)
        (folder / "results.json").write_text(json.dumps({"metrics": {"z_corr": 1}, "peak_memory_mb": 700.0}))
        (folder / "log.csv").write_text("step,seconds\n50,200\n100,350\n")
        return 500.0

    monkeypatch.setattr(scale, "bare_job", bare_job)
    monkeypatch.setattr(scale, "whole_run", whole_run)
    scale.run(scale.make_parser().parse_args(["--sizes", "64", "--images", "80", "1000"]))
    command = commands[0]
    assert command[0].endswith("ogan/train.py") and command[command.index("--limit") + 1] == "80"
    head, _, *rows = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in (head, *rows)]
    first = dict(zip(cells[0], cells[1], strict=True))
    assert [first[c] for c in ("pixels", "images", "steps")] == ["64", "80", "100"] and cells[2][1] == "90"
    assert [float(first[c]) for c in ("whole, s", "training, s", "bare, s")] == [500, 300, 200]
    assert [float(first[c]) for c in ("training / bare", "rest, s", "peak, MiB")] == [1.5, 200, 700]
    with pytest.raises(UserError, match="50 images are fewer than a batch of 64"):
        scale.run(scale.make_parser().parse_args(["--sizes", "64", "--images", "50"]))
