"""A GAN of the rarest class of spectra: its networks, the training sets, and the script (article 5505)."""

import numpy as np
import pytest
from keras import ops

from spectra import augment, gan
from spectra.dataset import Part
from spectra.simulator import QSO
from tests.helpers.arrays import assert_not_blank, numpy, state_of
from tests.helpers.autodiff import gradient, weight_gradients
from tests.helpers.scripts import error_line, metrics_of, run_here

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("points", [128, 650])
def test_the_noise_of_a_fake_is_local_and_its_code_is_not(points):
    generator, critic = gan.build_generator(points, 4), gan.build_critic(points, 4)
    z = RNG.standard_normal((1, gan.latent_dim(points))).astype("float32")
    x = numpy(generator(z))
    assert x.shape == (1, points, 1) and numpy(critic(x)).shape == (1, 1)
    other = z.copy()
    other[0, gan.CODE + 50] += 1
    changed = np.flatnonzero(numpy(generator(other))[0, :, 0] != x[0, :, 0])
    np.testing.assert_array_equal(changed, np.arange(46, 55))
    other = z.copy()
    other[0, 0] += 1
    assert (numpy(generator(other)) != x).mean() > 0.9


def test_the_loss_is_that_of_rsgan_with_both_penalties():
    """Each player's gradient is that of its own loss; the value is the critic's."""
    trainer, _ = gan.build(128, 2, 1e-3, 0)
    real, fake, penalty = (np.float32(RNG.standard_normal((5, 1))) for _ in range(3))
    values = trainer.loss_function(real, fake, fake, penalty)
    expected = np.log1p(np.exp(fake - real)).mean() + penalty.mean()
    assert float(values["loss"]) == pytest.approx(expected, rel=1e-5)
    sigmoid = 1 / (1 + np.exp(real - fake))
    of_loss = lambda *scores: trainer.loss_function(*scores, penalty)["loss"]
    np.testing.assert_allclose(gradient(lambda v: of_loss(real, v, fake), fake), (sigmoid - 1) / 5, rtol=1e-5)
    np.testing.assert_allclose(gradient(lambda v: of_loss(real, fake, v), fake), sigmoid / 5, rtol=1e-5)
    np.testing.assert_allclose(gradient(lambda v: of_loss(v, fake, fake), real), -sigmoid / 5, rtol=1e-5)


def test_the_penalties_are_of_the_critic_at_both_kinds_and_do_not_reach_the_generator():
    trainer, generator = gan.build(128, 2, 1e-3, 0)
    x = np.float32(RNG.standard_normal((5, 128, 1)))
    critic = next(layer for layer in trainer._flatten_layers() if layer.name == "critic")
    restore = state_of(trainer)
    penalty = numpy(trainer(x)["penalty"])
    restore()
    fake = numpy(generator(next(layer for layer in trainer.layers if "latent" in layer.name)(x)))
    slopes = [np.sum(gradient(lambda v: ops.sum(critic(v)), points) ** 2, (1, 2)) for points in (x, fake)]
    np.testing.assert_allclose(penalty.ravel(), gan.PENALTY / 2 * sum(slopes), rtol=1e-3)
    of_generator = weight_gradients(lambda: ops.mean(trainer(x)["penalty"]), generator.trainable_variables)
    assert all(np.abs(g).max() == 0 for g in of_generator)


def test_a_shifted_spectrum_is_moved_as_a_whole():
    x = RNG.standard_normal((3, 100, 1))
    rows = augment.shifted(x, 200, np.random.default_rng(1))
    assert rows.shape == (200, 100, 1)
    moves = []
    for row in rows[..., 0]:
        ((i, m),) = [
            (i, m) for i in range(3) for m in range(-10, 11)
            if np.array_equal(row[10:-10], x[i, 10 + m : 90 + m, 0])
        ]  # fmt: skip
        moves.append((i, m))
        assert row[0] == x[i, max(m, 0), 0] and row[-1] == x[i, min(99 + m, 99), 0], "the ends are continued"
    assert {i for i, _ in moves} == {0, 1, 2} and min(m for _, m in moves) == -10 and max(m for _, m in moves) == 10


def test_half_of_a_class_that_is_filled_up_is_real():
    x = np.arange(8, dtype="float32").reshape(8, 1, 1)
    labels = np.array([0, QSO, 1, 0, QSO, 2, 2, 0])
    extra = -np.ones((5, 1, 1), "float32")
    part = augment.filled_up(Part(x, labels), extra, QSO)
    np.testing.assert_array_equal(part.x[part.labels != QSO, 0, 0], [0, 2, 3, 5, 6, 7])
    of_class = part.x[part.labels == QSO, 0, 0]
    np.testing.assert_array_equal(np.sort(of_class), [-1] * 5 + [1] * 3 + [4] * 2)


def test_a_run_and_one_that_goes_on(monkeypatch, tmp_path, capsys):
    for name, value in {"DILATIONS": (1,), "BLOCKS": 3, "HALVINGS": 2}.items():
        monkeypatch.setattr(f"spectra.network.{name}", value)
    flags = ["--preset", "smoke", "--limit", "300", "--steps", "4", "--gan-steps", "4", "--every", "2", "--width", "2"]
    assert run_here("spectra/augment.py", *flags, "--out", tmp_path) == 0
    (run_dir,) = (path.parent for path in tmp_path.rglob("results.json"))
    metrics = metrics_of(run_dir)
    assert metrics["quasars"] == 10 < metrics["quasars/all"] == metrics["fakes"] + 10
    names = (augment.FEW, augment.FAKES, augment.SHIFTED, augment.ALL)
    assert all(0 <= metrics[f"macro-F1/{name}"] <= 1 for name in names)
    text = (run_dir / "table.md").read_text()
    assert [line.split("|")[1].strip() for line in text.splitlines()[2:6]] == list(names)
    assert text in capsys.readouterr().out
    assert_not_blank(run_dir / "figures/fakes.png", least=10)

    # as if it had been stopped before the last classifier
    last = run_dir / "all-quasars/checkpoint.npz"
    before = dict(np.load(last))
    last.unlink()
    (run_dir / "results.json").unlink()
    assert run_here("spectra/augment.py", "--resume", run_dir) == 0
    after = np.load(last)
    for name in before.keys() - {"extra-seconds"}:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    again = metrics_of(run_dir)
    assert {k: v for k, v in metrics.items() if "F1" in k} == {k: again[k] for k in metrics if "F1" in k}


def test_too_few_quasars_get_one_line(tmp_path):
    flags = ["--preset", "smoke", "--limit", "8", "--seed", "2", "--out", tmp_path]
    assert "of 8 spectra are quasars, too few for a GAN: raise --limit" in error_line("spectra/augment.py", *flags)
    quotas = ["--preset", "smoke", "--quotas", "1000", "1", "1", "1", "--out", tmp_path]
    assert "raise --batch-size, or even --quotas" in error_line("spectra/augment.py", *quotas), "not after the GAN"
    assert not list(tmp_path.rglob("config.json"))
