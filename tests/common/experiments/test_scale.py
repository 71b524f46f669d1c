"""The measurement of whole trainings: its arithmetic, with stubs for the trainings."""

import json
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
    """A bare step takes a second before and three after the training, which takes 300 for its 100 steps."""
    now, commands = [0.0], []
    monkeypatch.setattr(scale.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(images, "load_images", lambda *_, **__: SimpleNamespace(array=np.zeros((2, 64, 64, 3))))

    def bare_job(flags, channels, steps):
        assert (flags.size, channels, flags.steps) == (64, 3, 100)

        def job():
            now[0] += steps * (3 if commands else 1)

        return job

    def whole_run(command):
        folder = command[command.index("--out") + 1]
        commands.append(command)
        with open(f"{folder}/results.json", "w") as file:
            json.dump({"metrics": {"train_seconds": 300}, "peak_memory_mb": 700}, file)
        return 360.0

    monkeypatch.setattr(scale, "bare_job", bare_job)
    monkeypatch.setattr(scale, "whole_run", whole_run)
    scale.run(scale.make_parser().parse_args(["--sizes", "64", "--images", "50"]))
    (command,) = commands
    assert command[:3] == ["ogan/train.py", "--preset", "quick"] and command[command.index("--limit") + 1] == "50"
    head, _, row = capsys.readouterr().out.splitlines()[:3]
    cells = dict(
        zip((c.strip() for c in head.split("|")[1:-1]), (c.strip() for c in row.split("|")[1:-1]), strict=True)
    )
    assert cells[""] == "64 px, 50 images" and cells["steps"] == "100"
    assert [float(cells[c]) for c in ("whole, s", "training, s", "bare, s")] == [360, 300, 200]
    assert [float(cells[c]) for c in ("training / bare", "whole / bare", "rest, s")] == [1.5, 1.8, 60]
    assert float(cells["peak, MiB"]) == 700
