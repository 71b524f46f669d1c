"""MALA's acceptance against BlackJAX's. It runs with the tests on JAX, so that TensorFlow's process loads no JAX."""

import keras
import numpy as np
import pytest
from keras import ops

from energy_gan.langevin import RULES, MarkovSteps
from tests.helpers.energies import double_well

if keras.backend.backend() != "jax":
    pytest.skip("BlackJAX runs with the tests on JAX", allow_module_level=True)

import blackjax
import jax


@pytest.mark.parametrize("step_size", [0.05, 0.4])
def test_acceptance_is_that_of_blackjax(step_size):
    """Its step is half of ours: it moves by step grad log pi + sqrt(2 step) a. Accepted moves show both ends."""
    kernel = blackjax.mala(lambda z: -((z**2 - 1) ** 2).sum(), step_size / 2)
    start = np.random.default_rng(5).normal(size=(400, 3)).astype("float32")
    keys = jax.random.split(jax.random.key(0), len(start))
    end, info = jax.jit(jax.vmap(lambda key, z: kernel.step(key, kernel.init(z))))(keys, start)
    moved = np.asarray(info.is_accepted)
    assert 0.3 < moved.mean() < 1
    states = [
        MarkovSteps(double_well, 1.0).state(ops.convert_to_tensor(np.asarray(z)[moved])) for z in (start, end.position)
    ]
    ours = np.exp(np.minimum(0, ops.convert_to_numpy(RULES["mala"](*states, step_size))[:, 0]))
    assert (ours < 0.99).mean() > 0.1
    np.testing.assert_allclose(ours, np.asarray(info.acceptance_rate)[moved], atol=1e-3)
