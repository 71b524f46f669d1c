"""Flags that a comparison is given for its trainings."""

import pytest

from tests.helpers.scripts import error_line


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("rnn/compare.py", ["--delay", "200"]),
        ("rsgan/compare.py", ["--loss", "wgan_gp"]),
        ("fgan/compare.py", ["--divergence=kl"]),
        ("ogan/ablation.py", ["--seed", "5"]),
        ("enlarge/compare.py", ["--seed", "5"]),
        ("glann/compare.py", ["--variants", "imle_features", "--distance", "l2"]),
        ("dcgan/compare.py", ["--steps", "3", "--steps", "4"]),
    ],
)
def test_a_flag_that_the_comparison_sets_is_not_overridden_without_a_word(script, flags, tmp_path):
    """`argparse` takes the last of two: all trainings would be one, under the names of several."""
    flag = next(word for word in flags[::-1] if word.startswith("--")).partition("=")[0]
    line = error_line(script, *flags, "--out", tmp_path)
    assert f"{flag} is given twice, or this comparison sets it itself" in line
    assert not list(tmp_path.rglob("log.txt"))
