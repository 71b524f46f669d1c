"""First steps of every training script: the note on half precision."""

import argparse

import pytest

from common.experiments import setup


@pytest.mark.parametrize(
    ("dataset", "cpu", "size", "precision", "gpus", "noted"),
    [
        ("reviews", "avx512_bf16", 64, None, 0, False),  # its size is in tokens
        ("lfw", "avx512f avx512_bf16", 64, None, 0, True),
        ("lfw", "amx_bf16", 128, None, 0, True),
        ("lfw", "avx512f", 64, None, 0, False),
        ("lfw", "avx512_bf16x", 64, None, 0, False),
        ("lfw", "avx512_bf16", 32, None, 0, False),
        ("lfw", "avx512_bf16", 64, "bfloat16", 0, False),
        ("lfw", "avx512_bf16", 64, None, 1, False),
        ("lfw", None, 64, None, 0, False),
    ],
)
def test_half_precision_is_offered_where_the_cpu_has_it(
    tmp_path, monkeypatch, capsys, dataset, cpu, size, precision, gpus, noted
):
    if cpu:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {cpu} sse\n")
    monkeypatch.setattr(setup, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(setup.backend, "accelerators", lambda: gpus)
    policies, seeds = [], []
    monkeypatch.setattr("keras.mixed_precision.set_global_policy", policies.append)
    monkeypatch.setattr("keras.utils.set_random_seed", seeds.append)
    flags = {
        "epochs": None,
        "steps": 1,
        "batch_size": 2,
        "preset": "quick",
        "seed": 7,
        "variant": "quick",
        "resume": str(tmp_path),
    }
    args = argparse.Namespace(dataset=dataset, size=size, mixed_precision=precision, out=tmp_path, **flags)
    setup.prepare(args, "ogan")
    assert ("--mixed-precision bfloat16" in capsys.readouterr().out) == noted
    assert seeds == [7] and policies == ([f"mixed_{precision}"] if precision else [])
