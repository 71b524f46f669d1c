"""Ratios of speed: what is timed, and the scripts that print them, as a user starts them."""

import time

import pytest

from common.experiments.benchmark import print_ratios, random_image_batches, ratio, time_interleaved
from tests.helpers.scripts import run_script


def test_jobs_are_called_once_to_compile_and_then_in_turn():
    called = []
    times = time_interleaved({"a": lambda: called.append("a"), "b": lambda: (called.append("b"), time.sleep(0.01))}, 3)
    assert called == ["a", "b"] * 4
    assert len(times) == 3 and all(row["b"] >= 0.01 > row["a"] for row in times)


def test_ratio_is_of_jobs_in_the_same_round():
    """A machine that slows down in the second round slows both: their ratio stays."""
    times = [{"one": 1.0, "two": 2.0}, {"one": 10.0, "two": 21.0}, {"one": 1.0, "two": 1.8}]
    assert ratio(times, "two", "one") == pytest.approx((2.0, 1.8, 2.1))
    assert ratio(times, "one", "two")[0] == pytest.approx(0.5)


def test_what_is_printed(capsys):
    print_ratios([{"one": 0.5, "two": 1.5}], "one", steps=10)
    assert capsys.readouterr().out == "one: 50 ms for one step of both players\ntwo / one: 3.00 (from 3.00 to 3.00)\n"


def test_noise_is_a_batch_of_images():
    batch = random_image_batches(16, 3, 4)[0]
    assert batch.shape == (4, 16, 16, 3) and batch.std() > 0.1


SMALL = ["--size", "16", "--batch-size", "4"]


@pytest.mark.parametrize(
    ("words", "ratios"),
    [
        (["ogan/bench.py"], ["alternating / single loss"]),
        (["rsgan/bench.py", "--methods", "wgan_gp"], ["wgan_gp / sgan"]),
        (["fgan/bench.py", "--divergence", "kl"], ["two passes / one pass"]),
    ],
)
def test_bench_prints_ratios(home, words, ratios):
    done = run_script(home, "tensorflow", *words, *SMALL)
    assert done.returncode == 0, done.stderr
    for name in ratios:
        assert 0.2 < float(done.stdout.split(f"{name}:")[1].split()[0]) < 30


def test_bench_of_the_flow_prints_ratios(home):
    done = run_script(home, "tensorflow", "flow/bench.py", *SMALL, "--mixing", "1x1")
    assert done.returncode == 0, done.stderr
    name, _, _, inverse, step = done.stdout.splitlines()[-1].split()
    assert name == "1x1" and float(inverse.rstrip("x")) > 0.1 and float(step.rstrip("x")) > 0.1
