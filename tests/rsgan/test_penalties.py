"""The penalties of the methods: their formulas, the images at which they are taken, and the passes that they need."""

import numpy as np
import pytest
from keras import ops

from common.data.batches import EndlessBatches
from common.losses.gradient_penalties import RandomInterpolation, RandomNeighbour, lecam_penalty
from rsgan.losses import penalty_of
from rsgan.methods import METHODS
from tests.helpers.arrays import numpy, state_of
from tests.helpers.autodiff import gradient
from tests.rsgan.helpers import IMAGES, build, latent_of


def test_penalties_of_all_points_are_added():
    norms = {"real": np.array([4.0], "f"), "fake": np.array([9.0], "f"), "between": np.array([0.25], "f")}
    norms["near"] = norms["between"]
    scores = {"real": np.array([[0.0]], "f"), "fake": np.array([[np.log(3.0)]], "f")}  # probabilities 1/2 and 3/4
    assert penalty_of(METHODS["sgan"], norms.get, scores) is None
    for name, expected in {"r3gan": 6.5, "sgan_r1": 2, "wgan_gp": 2.5, "wgan_gp_linear": 0, "wgan_div": 793}.items():
        assert float(penalty_of(METHODS[name], norms.get, scores)[0]) == pytest.approx(expected, abs=1e-4), name
    assert float(penalty_of(METHODS["r3gan"], norms.get, scores, 10.0)[0]) == pytest.approx(65)
    assert float(penalty_of(METHODS["dragan"], norms.get, scores)[0]) == pytest.approx(2.5, abs=1e-4)
    roth = 0.1 / 2 * (4 / 2**2 + 9 * (3 / 4) ** 2)
    assert float(penalty_of(METHODS["sgan_roth"], norms.get, scores)[0]) == pytest.approx(roth, rel=1e-5)


def test_lecam_compares_reals_with_the_mean_of_the_fakes_and_fakes_with_that_of_the_reals(monkeypatch):
    monkeypatch.setattr("rsgan.losses.MovingMean", lambda: ops.mean)
    real, fake = np.array([[3.0], [1.0]], "f"), np.array([[-1.0], [0.0]], "f")
    actual = numpy(penalty_of(METHODS["sgan_lecam"], None, {"real": real, "fake": fake}, 0.3))
    np.testing.assert_allclose(actual, numpy(lecam_penalty(real, fake, 2.0, -0.5, 0.3)), rtol=1e-5)
    assert np.abs(actual - numpy(lecam_penalty(real, fake, -0.5, 2.0, 0.3))).max() > 1e-3


@pytest.mark.parametrize(("name", "order"), [("gan_qp", 1), ("gan_qp_l2", 2)])
def test_the_distance_of_gan_qp_is_of_its_order(name, order):
    model, _, generator = build(name)
    restore, x = state_of(model), EndlessBatches(IMAGES, 8)[0]
    distance = numpy(model(x, training=True)["distance"])
    restore()
    fake = numpy(generator(latent_of(model)(x), training=True))
    by_hand = {1: lambda d: np.abs(d).mean((1, 2, 3)), 2: lambda d: np.sqrt((d**2).mean((1, 2, 3)))}[order]
    np.testing.assert_allclose(distance.ravel(), by_hand(x - fake), rtol=1e-3)


@pytest.mark.parametrize("name", ["sgan_r1", "r3gan", "wgan_div", "wgan_gp", "wgan_gp_linear", "dragan", "sgan_roth"])
def test_penalties_are_taken_at_their_images(name):
    """The penalty in the graph is that of gradients taken outside it, at images from the same random state."""
    model, critic, generator = build(name)
    restore, x = state_of(model), EndlessBatches(IMAGES, 8)[0]
    values = {name: numpy(value) for name, value in model(x, training=True).items()}
    restore()
    fake = numpy(generator(latent_of(model)(x), training=True))
    points = {"real": x, "fake": fake}
    for layer in model.layers:
        if isinstance(layer, RandomInterpolation):
            points["between"] = numpy(layer(x, fake))
        if isinstance(layer, RandomNeighbour):
            points["near"] = numpy(layer(x))
    squared_gradient_norm = lambda point: np.sum(
        gradient(lambda images: ops.sum(critic(images)), points[point]) ** 2, axis=(1, 2, 3)
    )
    scores = {"real": values["real"], "fake": values["fake_ng"]}
    expected = numpy(penalty_of(METHODS[name], squared_gradient_norm, scores))
    assert values["penalty"].shape == (8,)
    np.testing.assert_allclose(values["penalty"], expected, rtol=1e-3)


# of the critic: one of the reals, one of the fakes, and one more for a penalty at fakes or at other points
PASSES = {"rsgan": 2, "wgan": 2, "sgan_r1": 2, "rsgan_r1": 2, "r3gan": 3, "wgan_div": 3, "wgan_gp": 3, "dragan": 3}


@pytest.mark.parametrize(("name", "count"), PASSES.items(), ids=PASSES)
def test_a_penalty_at_the_reals_takes_no_further_pass_of_the_critic(name, count, monkeypatch):
    model, critic, _ = build(name)
    passes, call = [], type(critic).call
    count_calls = lambda self, *a, **k: (self is critic and passes.append(1)) or call(self, *a, **k)
    monkeypatch.setattr(type(critic), "call", count_calls)
    model(EndlessBatches(IMAGES, 8)[0], training=True)
    assert len(passes) == count
