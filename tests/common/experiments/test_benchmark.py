"""Speed ratios: the arithmetic with a fake clock, and the scripts that print them, as a user starts them."""

import re
import sys
import time

import keras
import numpy as np
import pytest

from bench import gan
from common.errors import UserError
from common.experiments import benchmark
from common.experiments.benchmark import (
    peer,
    print_ratios,
    print_table,
    random_image_batches,
    ratio,
    time_interleaved,
)
from common.training.alternating import Alternating
from energy_gan import bench as energy_bench
from energy_gan.bench import effective_samples
from flow import glow
from tests.helpers.scripts import run_here


def test_jobs_are_called_once_to_compile_and_then_in_turn(monkeypatch):
    """Job "a" takes one second, job "b" two, and both ten seconds more in the call that compiles them."""
    now, calls = [0.0], []
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: now[0])

    def job(name, seconds):
        now[0] += seconds + 10 * (name not in calls)
        calls.append(name)

    times = time_interleaved({"a": lambda: job("a", 1), "b": lambda: job("b", 2)}, 3)
    assert calls == ["a", "b"] * 4
    assert times == [{"a": 1, "b": 2}] * 3


def test_ratio_is_of_jobs_in_the_same_round():
    """A machine that slows down in the second round slows both: their ratio stays."""
    times = [{"one": 1.0, "two": 2.0}, {"one": 10.0, "two": 21.0}, {"one": 1.0, "two": 1.8}]
    assert ratio(times, "two", "one") == pytest.approx((2.0, 1.8, 2.1))
    assert ratio(times, "one", "two")[0] == pytest.approx(0.5)


def test_ratios_are_printed_with_the_time_of_a_step(capsys):
    print_ratios([{"one": 0.5, "two": 1.5}], "one", steps=10)
    assert capsys.readouterr().out == "one: 50 ms for one step of both players\ntwo / one: 3.00 (from 3.00 to 3.00)\n"


def test_table_has_milliseconds_and_the_ratio_to_the_job_that_is_compared(capsys):
    print_table([{"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 4.0}, {"a": 1.0, "b": 1.0}], {"a": "a", "b": "a"}, steps=10)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| a | 100 | 1 | |",
        "| b | 300 | 2.00 (1.00 to 3.00) | a |",
    ]


PEER = """
from common.experiments.benchmark import serve
print("of the library")
calls = []
def work():
    calls.append(1)
    print("again")
    if len(calls) > 2:
        raise SystemExit("no memory")
serve({"work": work})
"""


def test_a_peer_does_its_job_when_it_is_asked_and_says_when_it_ends(tmp_path, capfd):
    script = tmp_path / "peer.py"
    script.write_text(PEER)
    with peer(sys.executable, script, [], ["work"]) as jobs, pytest.raises(UserError, match=r"peer\.py has ended"):
        assert list(jobs) == ["work"]
        jobs["work"]()
        jobs["work"]()
        out, err = capfd.readouterr()
        assert out == "of the library\n" and err.count("again\n") == 2
        jobs["work"]()
    assert "no memory" in capfd.readouterr().err


def test_a_peer_that_ends_between_two_jobs_is_told_too(tmp_path):
    script = tmp_path / "peer.py"
    script.write_text("print('ready', flush=True)\ninput()\nprint('done', flush=True)\n")
    with pytest.raises(UserError, match=r"peer\.py has ended"), peer(sys.executable, script, [], ["work"]) as jobs:
        jobs["work"]()
        time.sleep(0.5)
        jobs["work"]()


def test_a_peer_without_its_environment_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match="`make bench PEERS=1` installs it"), peer(tmp_path / "python", "x.py", [], []):
        pass


def test_effective_samples_of_a_chain_with_known_autocorrelation():
    """Lags of .5 ** t are counted down to the last one above .05, which is 4: 1 + 2 (.5 + .25 + .125 + .0625)."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(300, 4000, 2))
    chain = [noise[0]]
    for a in noise[1:]:
        chain.append(chain[-1] / 2 + a * 0.75**0.5)
    assert effective_samples(np.array(chain)) == pytest.approx(300 * 4000 / 2.875, rel=0.02)
    assert effective_samples(noise) == 300 * 4000


def test_random_batches_are_noise_of_the_size_of_images():
    batches = random_image_batches(16, 3, 4)
    assert batches[0].shape == (4, 16, 16, 3) and batches.steps_per_epoch == 4
    assert batches[0].std() == pytest.approx(2 / 12**0.5, rel=0.05)  # uniform on [-1, 1]


@pytest.fixture
def bench(monkeypatch, capsys):
    """A function that runs a script in which a batch takes one second, and returns the lines that it prints."""
    clock = [0.0]

    def count(cls, name, steps):
        method = getattr(cls, name)

        def counted(self, x, **kwargs):
            clock[0] += steps(x, **kwargs)
            return method(self, x, **kwargs)

        monkeypatch.setattr(cls, name, counted)

    count(keras.Model, "fit", lambda x, steps_per_epoch, **kwargs: steps_per_epoch)
    count(Alternating, "fit", lambda x, steps_per_epoch, **kwargs: steps_per_epoch)
    count(keras.Model, "predict_on_batch", lambda x: 1)
    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(benchmark, "time_interleaved", lambda jobs, rounds: time_interleaved(jobs, 2))  # saves time

    def run(script, *arguments):
        assert run_here(script, *arguments, "--size", "16", "--batch-size", "4") == 0
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["ogan/bench.py"], ("single loss", "alternating", 2)),  # two alternating steps train both players once
        (["rsgan/bench.py", "--methods", "wgan_gp"], ("sgan", "wgan_gp", 1)),
        (["fgan/bench.py", "--divergence", "kl"], ("one pass", "one pass, gradient split", 1)),
    ],
    ids=lambda value: value[0].partition("/")[0],
)
def test_bench_compares_steps_of_both_players(bench, arguments, expected):
    baseline, other, batches = expected
    assert bench(*arguments) == [
        f"{baseline}: 1000 ms for one step of both players",
        f"{other} / {baseline}: {batches:.2f} (from {batches:.2f} to {batches:.2f})",
    ]


def test_bench_of_the_flow_compares_batches(bench, monkeypatch):
    monkeypatch.setitem(glow.PRESETS, "quick", glow.PRESETS["smoke"])  # builds faster
    header, row = bench("flow/bench.py", "--mixing", "1x1")
    assert re.split(r"\s{2,}", header) == ["mixing", "forward", "inverse", "training step"]
    assert re.split(r"\s{2,}", row) == ["1x1", "1000.0 ms", "1.00x", "1.00x"]


def test_bench_of_one_loss_compares_steps_of_both_players(bench, monkeypatch, capsys):
    monkeypatch.setattr(gan, "CASES", {"16": gan.Case(16, 1, 16, 4, True, 2)})
    monkeypatch.setattr("common.experiments.setup.has_fast_bfloat16", lambda: True)
    gan.run(gan.make_parser().parse_args(["--cases", "16", "--batch-size", "4"]))
    assert [line.split("|")[1:4] for line in capsys.readouterr().out.splitlines()[-4:]] == [
        [" one loss ", " 1,000 ", " 1 "],
        [" two passes (6387) ", " 1,000 ", " 1.00 (1.00 to 1.00) "],
        [" alternating ", " 2,000 ", " 2.00 (2.00 to 2.00) "],
        [" one loss, bfloat16 ", " 1,000 ", " 1 "],
    ]
    assert keras.config.dtype_policy().name == "float32"


def test_bench_of_chains_counts_effective_samples(monkeypatch, capsys):
    monkeypatch.setattr(energy_bench, "STEPS", 20)
    monkeypatch.setattr(energy_bench, "ROUNDS", 1)
    energy_bench.run(energy_bench.make_parser().parse_args(["--chains", "50"]))
    name, effective, _ = capsys.readouterr().out.splitlines()[-1].strip("| ").split(" | ")
    assert name == "ours" and 0 < float(effective) <= 20
