"""The cores that a process may use: those of its job, and the CPU time of its container."""

import os

import pytest

from common import cores


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """Eight cores of a larger machine for the process, and a folder for the limits of a container."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    for name, file in {"CPU_MAX": "max", "CFS_QUOTA": "quota", "CFS_PERIOD": "period"}.items():
        monkeypatch.setattr(cores, name, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"max": "max 100000\n"}, 8),
        ({"max": "200000 100000\n"}, 2),
        ({"max": "250000 100000\n"}, 3),
        ({"max": "10000 100000\n"}, 1),
        ({"max": "6400000 100000\n"}, 8),
        ({"quota": "-1\n", "period": "100000\n"}, 8),
        ({"quota": "300000\n", "period": "100000\n"}, 3),
        ({"max": "strange"}, 8),
    ],
)
def test_a_limit_on_cpu_time_counts_as_so_many_cores(cgroup, files, expected):
    for name, text in files.items():
        (cgroup / name).write_text(text)
    assert cores.usable_cores() == expected


def test_without_affinity_the_machine_is_counted(cgroup, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1
