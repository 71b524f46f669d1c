"""Flows in training: the collapse guard, resuming, and what a likelihood must come to on densities that are known."""

import math
import types

import keras
import numpy as np
import pytest
from keras import ops

from common.data import toy_2d
from common.errors import UserError
from common.files import read_json
from common.training.ema import WeightEMA
from common.training.loop import train
from common.training.single_loss import SingleLoss
from flow import realnvp
from flow.layers.actnorm import Actnorm
from flow.layers.composite import Chain
from flow.layers.coupling import AffineCoupling
from flow.layers.likelihood import log_normal
from flow.layers.networks import mlp
from flow.layers.permutations import Shuffle
from flow.training import evaluate
from flow.training.collapse_guard import CollapseGuard
from tests.helpers.arrays import numpy

POINTS = np.random.default_rng(0).normal([1, -2, 0, 3], [0.5, 2, 1, 0.1], (64, 4)).astype("float32")


def small_flow(optimizer=None, seed=0):
    flow = Chain([Actnorm(), Shuffle(seed=seed), AffineCoupling(mlp(8, 1, 4), bound=2.0), Actnorm()], name="flow")
    x = keras.Input((4,))
    z, log_det = flow(x)
    loss = lambda z, log_det: {"loss": -log_normal(z) - log_det}
    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, loss)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-2))
    return trainer, flow


def fit(trainer, points, run, steps=12, every=4, **how):
    nothing = lambda step: None
    return train(trainer, points, run, batch_size=8, steps=steps, save_every=every, seed=0, on_interval=nothing, **how)


def test_a_nan_is_undone_and_never_saved(tmp_path):
    trainer, _ = small_flow()
    state = trainer.training_state
    guard = CollapseGuard(tmp_path, state)
    poisoned = POINTS.copy()
    poisoned[5] = np.nan  # one batch of each epoch of 8
    rows = fit(trainer, poisoned, tmp_path, steps=16, callbacks=[guard])
    assert [row["step"] for row in rows] == [4, 8, 12, 16]
    assert len(guard.rescues) == 2
    assert float(trainer.optimizer.learning_rate) == pytest.approx(1e-4)  # a tenth of a tenth
    assert all(np.isfinite(numpy(v)).all() for v in trainer.training_state())
    for name in ("best.npz", "checkpoint.npz"):
        with np.load(tmp_path / name) as kept:
            assert all(np.isfinite(kept[key]).all() for key in kept.files)
    kept = read_json(tmp_path / "rescues.json")
    assert [r["learning_rate"] for r in kept["rescues"]] == [pytest.approx(1e-3), pytest.approx(1e-4)]
    assert math.isfinite(kept["best_loss"])


def test_a_rescue_brings_the_best_state_back_not_the_last(tmp_path):
    trainer, flow = small_flow(keras.optimizers.SGD(1e-3))
    guard = CollapseGuard(tmp_path, trainer.training_state, limit=100.0, patience=1)
    fit(trainer, POINTS, tmp_path, steps=8, callbacks=[guard])
    assert not guard.rescues
    best = [numpy(v) for v in flow.trainable_variables]
    for weight in flow.trainable_variables:
        weight.assign(weight + 3.0)
    guard.on_epoch_end(2, {"loss": 101.0})
    for weight, expected in zip(flow.trainable_variables, best, strict=True):
        np.testing.assert_array_equal(numpy(weight), expected)
    assert "above 100" in guard.rescues[0]["why"]
    # within the first epochs the limit does not hold, and a loss that is merely worse is no collapse
    count = len(guard.rescues)
    CollapseGuard.on_epoch_end(guard, 0, {"loss": 101.0})
    guard.on_epoch_end(5, {"loss": 99.0})
    assert len(guard.rescues) == count


def test_what_cannot_be_rescued_ends_with_one_line(tmp_path):
    trainer, _ = small_flow()
    guard = CollapseGuard(tmp_path, trainer.training_state, max_rescues=2)
    with pytest.raises(UserError, match=r"after 2 rescues; lower --learning-rate; the best state is in .*best\.npz"):
        fit(trainer, np.full_like(POINTS, np.nan), tmp_path, callbacks=[guard])


def test_a_resumed_guard_remembers(tmp_path):
    trainer, _ = small_flow()
    first = CollapseGuard(tmp_path, trainer.training_state)
    fit(trainer, POINTS, tmp_path, steps=8, callbacks=[first])
    trainer, _ = small_flow()
    second = CollapseGuard(tmp_path, trainer.training_state)
    fit(trainer, POINTS, tmp_path, steps=12, callbacks=[second])
    assert second.best_loss <= first.best_loss < math.inf


def test_a_resumed_flow_keeps_its_permutation_and_ends_at_the_same_weights(tmp_path):
    def run(folder, parts, seed):
        for i, steps in enumerate(parts):
            trainer, flow = small_flow(seed=seed + i)  # another permutation, unless the checkpoint says otherwise
            model = keras.Model(x := keras.Input((4,)), flow(x))
            averages = WeightEMA([model], 0.9)
            fit(trainer, POINTS, folder, steps=steps, averages=averages)
        return [numpy(v) for v in [*trainer.variables, *averages.variables]]

    keras.utils.set_random_seed(1)
    whole = run(tmp_path / "whole", [12], 5)
    keras.utils.set_random_seed(1)
    cut = run(tmp_path / "cut", [6, 12], 5)
    assert any(v.dtype.kind == "i" for v in whole)
    for a, b in zip(whole, cut, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_flow_file_gives_the_same_densities_and_samples_back(tmp_path):
    trainer, flow = small_flow(seed=3)
    fit(trainer, POINTS, tmp_path, steps=8)
    model = keras.Model(x := keras.Input((4,)), flow(x))
    model.save(tmp_path / "flow.keras")
    again = keras.models.load_model(tmp_path / "flow.keras").get_layer("flow")
    for mine, other in zip(
        (*flow(POINTS), *flow.inverse(POINTS)), (*again(POINTS), *again.inverse(POINTS)), strict=True
    ):
        np.testing.assert_array_equal(numpy(mine), numpy(other))


def test_likelihood_of_images_is_that_of_the_formula():
    # independent pixels, u ~ U(0, 1) mapped by nothing: log p = log N(u) summed
    x = keras.Input((2, 2, 1), dtype="uint8")
    pixels = keras.layers.Flatten()(ops.cast(x, "float32")) / 256
    density = keras.Model(x, log_normal(pixels))
    images = np.random.default_rng(0).integers(0, 256, (230, 2, 2, 1), dtype=np.uint8)  # more than two batches
    found = evaluate.likelihood(density, images, draws=2)
    values = images.reshape(230, 4) / 256
    log_prob = -0.5 * (values**2).sum(-1) - 2 * math.log(2 * math.pi)
    assert found["log_likelihood"] == pytest.approx(log_prob.mean(), abs=1e-4)
    bits = 8 - log_prob / (4 * math.log(2))
    assert found["bits_per_dim"] == pytest.approx(bits.mean(), abs=1e-4)
    assert found["bits_per_dim/standard_error"] == pytest.approx(bits.std() / math.sqrt(230), abs=1e-5)


def test_more_draws_average_probabilities_not_logarithms():
    answers = iter([np.array([-10.0, -1.0]), np.array([-2.0, -1.0])])
    density = types.SimpleNamespace(predict=lambda array, **how: np.resize(next(answers), len(array)))
    found = evaluate.likelihood(density, np.zeros((2, 1, 1, 1), "uint8"), draws=2)
    expected = (math.log((math.exp(-10) + math.exp(-2)) / 2) - 1) / 2
    assert found["log_likelihood"] == pytest.approx(expected)


@pytest.mark.parametrize(("name", "left"), [("8gaussians", 0.5), ("25gaussians", 0.7)])
def test_training_brings_a_flow_towards_the_entropy_of_a_mixture(name, left, tmp_path):
    """-E log q = entropy + KL(p || q) is never below the entropy; little training removes much of a normal's KL.

    Modes wider than the toys'. What longer training comes to stands in the README.
    """
    centres, _ = toy_2d.modes(name)
    std, rng = 0.14, np.random.default_rng(0)

    def sample(n):
        return (centres[rng.integers(len(centres), size=n)] + std * rng.standard_normal((n, 2))).astype("float32")

    def log_density(points):
        square = ((points[:, None] - centres) ** 2).sum(-1) / (2 * std**2)
        return np.log(np.exp(-square).mean(1) / (2 * math.pi * std**2))

    args = realnvp.make_parser().parse_args(["--dataset", name])
    args.couplings, args.layers, args.width, args.learning_rate = 6, 2, 64, 4e-3
    trainer, flow = realnvp.build(args, (2,))
    points = sample(20_000)
    flow.initialize_from_data(points)
    model = keras.Model(x := keras.Input((2,)), flow(x))
    averages = WeightEMA([model], 0.98)
    how = {"batch_size": 400, "steps": 400, "every": 400, "seed": 0, "on_interval": lambda step: None}
    train(trainer, points, tmp_path, averages=averages, **how)

    fresh = sample(20_000)
    z, log_det = averages.models[0].predict(fresh, batch_size=5000, verbose=0)
    nats = 0.5 * (z**2).sum(-1) + math.log(2 * math.pi) - log_det
    kl = float(np.mean(nats + log_density(fresh)))
    start = float(np.mean(nats_of_normal(fresh) + log_density(fresh)))
    assert start > 0.5, "what a single normal density is off by"
    assert -0.01 < kl < left * start


def nats_of_normal(points):
    """-log density under the normal distribution of the same mean and covariance."""
    centred = points - points.mean(0)
    covariance = np.cov(points.T)
    distance = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred)
    return distance / 2 + math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1] / 2
