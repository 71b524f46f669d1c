"""Run MALA chains of BlackJAX for `energy_gan/bench.py`, which starts this script and saves the networks' weights."""

import sys
from pathlib import Path

import blackjax
import jax
import numpy as np
from jax import numpy as jnp

from common.experiments.benchmark import serve


def dense(x, layers, slope):
    """Return the output of a network with LeakyReLU whose kernels and biases are `layers`, in turn."""
    *hidden, kernel, bias = layers
    for w, b in zip(hidden[::2], hidden[1::2], strict=True):
        x = jax.nn.leaky_relu(x @ w + b, slope)
    return x @ kernel + bias


def main():
    folder, steps, step_size = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    saved = np.load(folder / "energy.npz")
    weights = [jnp.asarray(saved[f"arr_{i}"]) for i in range(len(saved.files) - 1)]
    generator, critic = weights[: len(weights) // 2], weights[len(weights) // 2 :]

    def log_density(z):
        return dense(dense(z, generator, 0.0), critic, 0.2)[0] - z @ z / 2

    kernel = blackjax.mala(log_density, step_size / 2)  # its step is half the variance of the noise

    def compiled_chains():
        @jax.jit
        def chains(key, start):
            def step(states, key):
                states, _ = jax.vmap(kernel.step)(jax.random.split(key, len(start)), states)
                return states, states.position

            return jax.lax.scan(step, jax.vmap(kernel.init)(start), jax.random.split(key, steps))[1]

        return chains

    def run(chains):
        np.save(folder / "trajectory.npy", chains(jax.random.key(0), jnp.asarray(saved["start"])))

    chains = compiled_chains()
    serve({"BlackJAX": lambda: run(compiled_chains()), "BlackJAX, compiled before": lambda: run(chains)})


if __name__ == "__main__":
    main()
