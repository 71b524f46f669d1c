"""`--distribute` in the scripts, on two virtual devices: what each device computes, and that a step is that of one."""

from argparse import Namespace

import keras
import numpy as np
import pytest

from common import backend
from common.errors import UserError
from common.experiments.setup import begin_run
from common.training.ema import WeightEMA
from common.training.loop import train
from flow.training import evaluate
from tests.helpers.arrays import numpy
from tests.helpers.tiny_trainers import tiny, with_sgd

BATCH = 8
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="compiling takes JAX minutes")


def build(name, seen=None):
    """Return the `Tiny` of a script, with SGD, which does not magnify rounding errors.

    Args:
        name: str, see `tiny`.
        seen: dict player -> {replica: its dict of tensors}, filled in a step.
    """
    case = with_sgd(tiny(name), run_eagerly=True)  # tracing two replicas takes seconds
    if hasattr(case.network, "initialize_from_data"):
        batch = case.batch(BATCH)
        case.network.initialize_from_data((batch + np.float32(0.5)) / 256 if batch.dtype == np.uint8 else batch)
    for i, player in enumerate(case.players()):
        if seen is not None:
            player.loss_function = recording(player.loss_function, seen.setdefault(i, {}))
    return case


def recording(loss_function, seen):
    """Return the loss function; it notes its tensors by replica."""

    def record(**tensors):
        replica, _ = backend.replica_id_and_count()
        seen[int(replica)] = {name: numpy(tensor) for name, tensor in tensors.items()}
        return loss_function(**tensors)

    return record


def state_after_a_step(name, distribute):
    """Return (values of all variables before and after a step of each player, what `recording` saw)."""
    seen, devices = {}, backend.distribution(distribute)
    with devices:
        case = build(name, seen)
    values = lambda: [numpy(v) for v in case.trainer.training_state()]
    before = values()
    for player in case.players():
        backend.train_on_batch(player, case.batch(BATCH))
    return before, values(), seen


@pytest.mark.parametrize("name", ["glow", "realnvp-plane", "fgan-estimate", "ogan", "energy-infogan"])
def test_two_devices_make_the_step_of_one(name):
    _, two, seen_by_two = state_after_a_step(name, True)
    before, one, seen_by_one = state_after_a_step(name, False)
    for i, by_replica in seen_by_two.items():
        assert by_replica.keys() == {0, 1} and seen_by_one[i].keys() == {0}
        for tensor, whole in seen_by_one[i][0].items():
            halves = [by_replica[replica][tensor] for replica in (0, 1)]
            assert {len(half) for half in halves} == {BATCH / 2} and len(whole) == BATCH
            np.testing.assert_allclose(np.concatenate(halves), whole, rtol=1e-4, atol=1e-4, err_msg=tensor)
    assert max(np.abs(a - b).max() for a, b in zip(before, one, strict=True)) > 1e-4
    for a, b in zip(two, one, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_flow_with_averages_resumes_on_one_device(tmp_path, monkeypatch):
    monkeypatch.setattr("common.backend.tensorboard", lambda log_dir: None)

    def fit(run_dir, distribute, steps):
        devices = backend.distribution(distribute)
        with devices:
            trainer, flow, points, _ = build("realnvp-plane")
            x = keras.Input((2,))
            averages = WeightEMA([keras.Model(x, flow(x))], 0.9)
        train(
            trainer, points, run_dir, batch_size=BATCH, steps=steps, save_every=1, seed=0,
            on_interval=lambda step: None, devices=devices, averages=averages,
        )  # fmt: skip
        return [numpy(v) for v in trainer.training_state() + averages.variables]

    whole = fit(tmp_path / "whole", False, 2)
    fit(tmp_path / "parts", True, 1)
    parts = fit(tmp_path / "parts", False, 2)
    for expected, actual in zip(whole, parts, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_losses_of_a_number_of_samples_that_the_devices_cannot_share():
    with backend.distribution(True):
        trainer, _, points, _ = build("realnvp-plane")
    points = np.resize(points, (evaluate.BATCH_SIZE + 1, 2))  # one device gets no part of the last batch
    expected = numpy(trainer.loss_function(**trainer(points))["loss"]).mean()
    assert evaluate.losses(trainer, points) == {"loss": pytest.approx(expected, rel=1e-5)}


def test_a_batch_that_the_devices_cannot_share_gets_one_line(tmp_path):
    args = Namespace(batch_size=7, steps=1, distribute=True, out=tmp_path)
    with pytest.raises(UserError, match=r"^--batch-size 7 cannot be shared by 2 devices: use a multiple$"):
        begin_run(args, "article", np.zeros((20, 4, 4, 1), "uint8"))
    assert not list(tmp_path.iterdir())


def test_pytorch_has_no_devices_to_share_a_batch(monkeypatch):
    monkeypatch.setattr("common.backend.devices.backend_name", lambda: "torch")
    with pytest.raises(UserError, match=r"^--distribute works on the tensorflow and jax backends"):
        backend.distribution(True)
