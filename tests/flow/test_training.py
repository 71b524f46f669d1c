"""Training of flows: the collapse guard, resuming, saving, and likelihoods on known densities."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from common.data import toy_2d
from common.errors import UserError
from common.files import read_json
from common.training import checkpoint
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
    """Return (trainer, flow) for points of four dimensions."""
    flow = Chain([Actnorm(), Shuffle(seed=seed), AffineCoupling(mlp(8, 1, 4), bound=2.0), Actnorm()], name="flow")
    x = keras.Input((4,))
    z, log_det = flow(x)
    loss = lambda z, log_det: {"loss": -log_normal(z) - log_det}
    trainer = SingleLoss(x, {"z": z, "log_det": log_det}, loss)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-2))
    return trainer, flow


def fit(trainer, points, run_dir, steps=12, **train_kwargs):
    """Train with epochs of four steps and return the rows of the log."""
    train_kwargs |= {"batch_size": 8, "steps": steps, "save_every": 4, "seed": 0, "on_interval": lambda step: None}
    return train(trainer, points, run_dir, **train_kwargs)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_error_names_the_coupling_that_overflows(direction):
    steps = [AffineCoupling(mlp(8, 1, 4), swap=i == 1, name=f"coupling_{i}") for i in range(3)]
    flow = Chain([Actnorm(), *steps], name="flow")
    x = keras.Input((4,))
    z, log_det = flow(x)
    model = keras.Model(x, log_normal(z) + log_det if direction == "forward" else flow.inverse(x)[0], name=direction)
    assert np.isfinite(evaluate.predict(model, POINTS)).all()
    steps[1].net.layers[-1].bias.assign(np.full(4, 200.0 if direction == "forward" else -200.0))  # exp(200) is infinite
    with pytest.raises(UserError, match=rf"64 of the 64 outputs of the {direction} .* layer flow/coupling_1;"):
        evaluate.predict(model, POINTS)


def test_samples_that_become_nan_in_training_name_the_step_and_the_weight(tmp_path):
    trainer, flow = small_flow()
    z = keras.Input((4,))
    sampler = keras.Model(z, flow.inverse(z)[0], name="sampler")
    net = flow.layers[2].net

    def draw(step):
        if step == 8:
            net.layers[0].bias.assign(np.full(8, np.nan))  # relu makes 0 of it on TensorFlow
        evaluate.predict(sampler, POINTS)

    with pytest.raises(UserError, match=rf"at step 8: the weight .*{net.layers[0].name}/bias of the sampler is NaN"):
        train(trainer, POINTS, tmp_path, batch_size=8, steps=12, save_every=4, seed=0, on_interval=draw)


def test_a_nan_is_undone_and_never_saved(tmp_path):
    trainer, _ = small_flow()
    guard = CollapseGuard(tmp_path, trainer.training_state)
    points = POINTS.copy()
    points[5] = np.nan  # in one of the eight batches of a pass over the data
    rows = fit(trainer, points, tmp_path, steps=16, callbacks=[guard])
    assert [row["step"] for row in rows] == [4, 8, 12, 16]
    assert len(guard.rescues) == 2
    assert float(trainer.optimizer.learning_rate) == pytest.approx(1e-4)  # a tenth of a tenth
    assert all(np.isfinite(numpy(v)).all() for v in trainer.training_state())
    for name in ("best.npz", "checkpoint.npz"):
        with np.load(tmp_path / name) as arrays:
            assert all(np.isfinite(arrays[key]).all() for key in arrays.files)
    saved = read_json(tmp_path / "rescues.json")
    assert [rescue["learning_rate"] for rescue in saved["rescues"]] == [pytest.approx(1e-3), pytest.approx(1e-4)]
    assert math.isfinite(saved["best_loss"])


def test_a_nan_is_undone_under_a_schedule_that_goes_on(tmp_path):
    trainer, _ = small_flow(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 16)))
    guard = CollapseGuard(tmp_path, trainer.training_state)
    points = POINTS.copy()
    points[5] = np.nan  # in one of the eight batches of a pass over the data
    fit(trainer, points, tmp_path, steps=16, callbacks=[guard])
    assert all(np.isfinite(numpy(v)).all() for v in trainer.training_state())
    assert len(guard.rescues) == 2 and int(numpy(trainer.optimizer.iterations)) == 16
    assert float(trainer.optimizer.learning_rate) == pytest.approx(0, abs=1e-9), "it reaches the end of the schedule"


def test_a_rescue_restores_the_best_state_not_the_last(tmp_path):
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
    # the limit does not apply in the first epochs, and a loss that is only worse is no collapse
    guard.on_epoch_end(0, {"loss": 101.0})
    guard.on_epoch_end(5, {"loss": 99.0})
    assert len(guard.rescues) == 1


def test_a_weight_that_only_the_last_update_broke_is_rescued(tmp_path):
    """The loss of that step is still finite, and the samples of its state could not be drawn."""
    trainer, flow = small_flow(keras.optimizers.SGD(1e-3))
    guard = CollapseGuard(tmp_path, trainer.training_state)
    fit(trainer, POINTS, tmp_path, steps=8, callbacks=[guard])
    flow.trainable_variables[0].assign(np.nan * numpy(flow.trainable_variables[0]))
    guard.on_epoch_end(2, {"loss": -1e9})
    assert all(np.isfinite(numpy(v)).all() for v in trainer.training_state())
    assert [rescue["why"] for rescue in guard.rescues] == ["a weight became NaN or infinite"]


def test_a_training_that_cannot_be_rescued_raises_a_user_error(tmp_path):
    trainer, _ = small_flow()
    guard = CollapseGuard(tmp_path, trainer.training_state, max_rescues=2)
    with pytest.raises(UserError, match=r"after 2 rescues; lower --learning-rate; the best state is in .*best\.npz"):
        fit(trainer, np.full_like(POINTS, np.nan), tmp_path, callbacks=[guard])


def test_a_resumed_guard_is_the_one_that_was_never_stopped(tmp_path):
    """Rescues are counted once, and the best state is that of the same epoch, however often the training stops."""
    points = POINTS.copy()
    points[5] = np.nan

    def run(run_dir, stops):
        for steps in stops:
            keras.utils.set_random_seed(0)
            trainer, _ = small_flow()
            guard = CollapseGuard(run_dir, trainer.training_state)
            fit(trainer, points, run_dir, steps=steps, callbacks=[guard], stateful={"guard": guard})
        with np.load(run_dir / "best.npz") as best:
            return guard, {key: best[key] for key in best.files}, (run_dir / "rescues.json").read_text()

    whole, whole_best, whole_json = run(tmp_path / "whole", [16])
    guard, best, rescues_json = run(tmp_path / "parts", [4, 8, 16, 16])
    assert len(whole.rescues) == 2 and guard.rescues == whole.rescues and rescues_json == whole_json
    assert guard.best_loss == whole.best_loss < math.inf and best.keys() == whole_best.keys()
    assert all((best[key] == array).all() for key, array in whole_best.items())


def test_a_best_state_that_the_checkpoint_does_not_know_is_dropped(tmp_path):
    """A kill between the best state of an epoch and the checkpoint of that epoch."""
    trainer, _ = small_flow()
    guard = CollapseGuard(tmp_path, trainer.training_state)
    fit(trainer, POINTS, tmp_path, steps=8, callbacks=[guard], stateful={"guard": guard})
    known = (tmp_path / "best.npz").read_bytes()
    for epoch, kept in ((guard.best_epoch + 1, known), (guard.best_epoch, b"")):
        checkpoint.save(tmp_path / "best-next.npz", trainer.training_state(), epoch)
        newer = (tmp_path / "best-next.npz").read_bytes()
        CollapseGuard(tmp_path, trainer.training_state).restore(guard.state())
        assert (tmp_path / "best.npz").read_bytes() == (kept or newer)
        assert not (tmp_path / "best-next.npz").exists()


def test_a_resumed_flow_keeps_its_permutation_and_ends_with_the_same_weights(tmp_path):
    def run(run_dir, stops):
        for i, steps in enumerate(stops):
            trainer, flow = small_flow(seed=5 + i)  # the second permutation differs, but the checkpoint has the first
            x = keras.Input((4,))
            averages = WeightEMA([keras.Model(x, flow(x))], 0.9)
            fit(trainer, POINTS, run_dir, steps=steps, averages=averages)
        return [numpy(variable) for variable in [*trainer.variables, *averages.variables]]

    keras.utils.set_random_seed(1)
    uninterrupted = run(tmp_path / "uninterrupted", [12])
    keras.utils.set_random_seed(1)
    resumed = run(tmp_path / "resumed", [6, 12])
    assert any(array.dtype.kind == "i" for array in uninterrupted), "the permutation is among them"
    for expected, actual in zip(uninterrupted, resumed, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_loaded_flow_gives_the_same_densities_and_samples(tmp_path):
    trainer, flow = small_flow(seed=3)
    fit(trainer, POINTS, tmp_path, steps=8)
    x = keras.Input((4,))
    keras.Model(x, flow(x)).save(tmp_path / "flow.keras")
    loaded = keras.models.load_model(tmp_path / "flow.keras").get_layer("flow")
    expected = (*flow(POINTS), *flow.inverse(POINTS))
    actual = (*loaded(POINTS), *loaded.inverse(POINTS))
    for expected_tensor, actual_tensor in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(numpy(actual_tensor), numpy(expected_tensor))


def test_likelihood_of_images_follows_the_formula():
    # independent pixels with a normal density at x / 256, without noise
    x = keras.Input((2, 2, 1), dtype="uint8")
    pixels = keras.layers.Flatten()(ops.cast(x, "float32")) / 256
    density = keras.Model(x, log_normal(pixels))
    images = np.random.default_rng(0).integers(0, 256, (230, 2, 2, 1), dtype=np.uint8)  # more than two batches
    metrics = evaluate.likelihood(density, images, draws=2)
    values = images.reshape(230, 4) / 256
    log_prob = -0.5 * (values**2).sum(-1) - 2 * math.log(2 * math.pi)
    assert metrics["log_likelihood"] == pytest.approx(log_prob.mean(), abs=1e-4)
    bits = 8 - log_prob / (4 * math.log(2))
    assert metrics["bits_per_dim"] == pytest.approx(bits.mean(), abs=1e-4)
    assert metrics["bits_per_dim/standard_error"] == pytest.approx(bits.std() / math.sqrt(230), abs=1e-5)


def test_several_draws_average_probabilities_not_logarithms():
    log_probs = iter([np.array([-10.0, -1.0]), np.array([-2.0, -1.0])])

    class Density(keras.Model):
        def predict_on_batch(self, array):
            return np.resize(next(log_probs), len(array))

    metrics = evaluate.likelihood(Density(), np.zeros((2, 1, 1, 1), "uint8"), draws=2)
    expected = (math.log((math.exp(-10) + math.exp(-2)) / 2) - 1) / 2
    assert metrics["log_likelihood"] == pytest.approx(expected)


def test_training_brings_a_flow_closer_to_a_mixture_than_a_normal_density_is(tmp_path):
    """Compare KL(mixture || flow) with KL(mixture || normal); it must not be below 0.

    The modes are wider than those of the toys, so that a short training is enough.
    """
    # one mixture on each backend
    name, largest_fraction = {"tensorflow": ("25gaussians", 0.7)}.get(keras.backend.backend(), ("8gaussians", 0.5))
    centres, _ = toy_2d.modes(name)
    std, rng = 0.14, np.random.default_rng(0)

    def sample(n):
        return (centres[rng.integers(len(centres), size=n)] + std * rng.standard_normal((n, 2))).astype("float32")

    def log_density(points):
        half_square = ((points[:, None] - centres) ** 2).sum(-1) / (2 * std**2)
        return np.log(np.exp(-half_square).mean(1) / (2 * math.pi * std**2))

    args = realnvp.make_parser().parse_args(["--dataset", name])
    args.couplings, args.layers, args.width, args.learning_rate = 4, 2, 64, 4e-3
    trainer, flow = realnvp.build(args, (2,))
    points = sample(20_000)
    flow.initialize_from_data(points)
    x = keras.Input((2,))
    averages = WeightEMA([keras.Model(x, flow(x))], 0.98)
    train_kwargs = {"batch_size": 400, "steps": 400, "save_every": 400, "seed": 0, "on_interval": lambda step: None}
    train(trainer, points, tmp_path, averages=averages, **train_kwargs)

    new_points = sample(20_000)
    z, log_det = averages.models[0].predict(new_points, batch_size=5000, verbose=0)
    nats = 0.5 * (z**2).sum(-1) + math.log(2 * math.pi) - log_det
    kl_of_flow = float(np.mean(nats + log_density(new_points)))
    kl_of_normal = float(np.mean(nats_of_normal(new_points) + log_density(new_points)))
    assert kl_of_normal > 0.5
    assert -0.01 < kl_of_flow < largest_fraction * kl_of_normal


def nats_of_normal(points):
    """Return -log of the normal density that has the mean and the covariance of the points."""
    centred = points - points.mean(0)
    covariance = np.cov(points.T)
    square_distance = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(covariance), centred)
    return square_distance / 2 + math.log(2 * math.pi) + np.linalg.slogdet(covariance)[1] / 2
