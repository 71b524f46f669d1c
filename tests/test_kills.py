"""A training that is killed leaves the files of one that was never stopped; `tests/soak.py` does it at length."""

import random

from tests import soak
from tests.helpers.scripts import environment
from tests.helpers.threads import ONE_THREAD

SEED = 1  # its first signal is kill -9
COMMAND = "energy_gan/train.py --dataset 25gaussians --preset smoke --steps 120 --every 24 --n-energy 2"


def test_a_kill_changes_no_file(tmp_path, home, monkeypatch):
    for name, value in environment(home, "tensorflow").items():
        monkeypatch.setenv(name, value)
    for name in ONE_THREAD:  # equal to the last bit with as many threads as a user has
        monkeypatch.delenv(name, raising=False)
    whole = soak.run_whole(COMMAND, tmp_path / "whole")
    rng, silent = random.Random(SEED), lambda line: None
    cut, hits = soak.run_with_kills(COMMAND, tmp_path / "cut", 1, rng, silent, longest=0.1)
    assert hits == ["SIGKILL"]
    assert soak.differences(whole, cut) == []


def test_differences_are_seen(tmp_path):
    for name, log in (
        ("a", "step,seconds,gap\n5,1,2\n"),
        ("b", "step,seconds,gap\n5,9,2\n"),
        ("c", "step,seconds,gap\n5,1,3\n"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.csv").write_text(log)
    assert soak.differences(tmp_path / "a", tmp_path / "b") == [], "only the time differs"
    assert soak.differences(tmp_path / "a", tmp_path / "c") == ["log.csv"]
    (tmp_path / "b/modes.json").write_text("{}")
    assert soak.differences(tmp_path / "a", tmp_path / "b") == ["only in one: modes.json"]
