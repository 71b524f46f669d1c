"""Langevin chains and the rules by which a step is accepted (article 6331; MALA, Roberts & Tweedie 1996).

A chain that is to end up distributed as pi = e^{-E} moves by

    z' = z - step_size/2 grad E(z) + sqrt(step_size) a,     a ~ N(0, I),

and MALA goes there with probability min{1, pi(z') q(z|z') / (pi(z) q(z'|z))}, else it stays; q(z'|z) is the density of
that move, N(z - step_size/2 grad E(z), step_size I). Whatever the step size, pi is then left as it is.
"""

import keras
import numpy as np
from keras import ops

from common import backend
from common.errors import UserError


def log_proposal(start, end, step_size, drift=0.5):
    """log q(end|start) up to a constant, (n, 1); `drift` other than 1/2 is not the density of the move."""
    residual = end["z"] - start["z"] + drift * step_size * start["slope"]
    return -ops.sum(ops.square(residual), -1, keepdims=True) / (2 * step_size)


# Logarithms of the probability to go on from a state z to its proposal; above 0 is surely.
# A state is dict(z=(n, d), energy=(n, 1), slope=(n, d)); the result is (n, 1).


def mala(z, proposal, step_size):
    """log [pi(z') q(z|z') / (pi(z) q(z'|z))], Metropolis and Hastings' rule for this move."""
    back, log_q_forward = log_proposal(proposal, z, step_size), log_proposal(z, proposal, step_size)
    return z["energy"] - proposal["energy"] + back - log_q_forward


def langevin(z, proposal, step_size):
    """Always: pi is then reached only as the step size goes to 0."""
    return ops.zeros_like(z["energy"])


def article(z, proposal, step_size):
    """6331 as printed: q has the drift step_size grad E, twice that of the move.

    It takes back what pi asks for: at small steps the chain feels no force at all and wanders off.
    """
    back, forth = log_proposal(proposal, z, step_size, drift=1.0), log_proposal(z, proposal, step_size, drift=1.0)
    return z["energy"] - proposal["energy"] + back - forth


def meg(z, proposal, step_size):
    """`MALA_corrected_sampler` of the code of MEG (arXiv 1901.08508): the norm in log q is not squared."""

    def log_q(start, end):
        off = end["z"] - start["z"] + step_size / 2 * start["slope"]
        return -ops.norm(off, axis=-1, keepdims=True) / (2 * step_size)

    return z["energy"] - proposal["energy"] + log_q(proposal, z) - log_q(z, proposal)


def meg_plain(z, proposal, step_size):
    """`MALA_sampler` of the code of MEG: without q, as if the move were symmetric.

    At small steps the move alone already keeps pi; asked for once more, the law is e^{-2 E}.
    """
    return z["energy"] - proposal["energy"]


RULES = {"mala": mala, "langevin": langevin, "article": article, "meg": meg, "meg_plain": meg_plain}


class MarkovStep(keras.Model):
    """One step of n chains at once: a state and what became of it, `accepted` (n, 1) besides.

    Energy and slope travel with the state, so that a step takes one gradient, that at the proposal.

    Args:
        energy: model or function of z, (n, d) -> (n, 1); rows do not meet in it.
        step_size: float, variance of the noise.
        rule: a name of `RULES`.
        seed: int; the noise is drawn from a state of its own, as in `common.models.layers.Latent`.
    """

    def __init__(self, energy, step_size, rule="mala", seed=0):
        super().__init__()
        self.energy, self.step_size, self.rule = energy, step_size, RULES[rule]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True  # no weights of its own

    def state(self, z):
        slope = backend.input_gradient(self.energy, z)  # compilers see that the energy is computed in it already
        return {"z": z, "energy": ops.cast(self.energy(z), "float32"), "slope": ops.cast(slope, "float32")}

    def call(self, state):
        z = state["z"]
        noise = keras.random.normal(ops.shape(z), seed=self.seed_generator)
        proposal = self.state(z - self.step_size / 2 * state["slope"] + self.step_size**0.5 * noise)
        log_u = ops.log(keras.random.uniform(ops.shape(state["energy"]), seed=self.seed_generator))
        accepted = log_u <= self.rule(state, proposal, self.step_size)  # never where it is not a number
        moved = {name: ops.where(accepted, proposal[name], state[name]) for name in state}
        return moved | {"accepted": ops.cast(accepted, "float32")}


def sample_chain(energy, z, steps, step_size, rule="mala", seed=0, every=1, batch_size=1000, verbose=0):
    """Runs chains side by side.

    Args:
        energy: model or function, (n, d) -> (n, 1), as for `MarkovStep`.
        z: array (n, d), where the chains start.
        steps: int, of each chain.
        step_size: float.
        rule: a name of `RULES`.
        every: int, steps between two positions that are kept; first and last are kept too.
        together: int, chains that are computed at once.
        verbose: 1 shows a progress bar.

    Returns:
        dict of arrays: `z` (n, d), the last positions; `energies` (steps + 1, n); `acceptance` (steps,), the share of
        the chains that moved; `kept` (m, n, d), positions after `moments` (m,) steps.

    Raises:
        UserError: if an energy is not finite.
    """
    step = MarkovStep(energy, step_size, rule, seed)
    parts = np.array_split(np.asarray(z, "float32"), -(-len(z) // batch_size))
    states = [step.state(ops.convert_to_tensor(part)) for part in parts]
    join = lambda name: np.concatenate([ops.convert_to_numpy(state[name]) for state in states])
    energies, acceptance, trajectory, saved_steps = [], [], [], []
    bar = keras.utils.Progbar(steps, verbose=verbose)
    for t in range(steps + 1):
        if t:
            states = [
                step.predict_on_batch({name: state[name] for name in ("z", "energy", "slope")}) for state in states
            ]
            acceptance.append(join("accepted").mean())
            bar.update(t)
        energies.append(join("energy")[:, 0])
        if not np.isfinite(energies[-1]).all():
            raise UserError(f"an energy is not finite after {t} steps of size {step_size:g}: take smaller steps")
        if t % every == 0 or t == steps:
            trajectory.append(join("z"))
            saved_steps.append(t)
    found = {
        "z": trajectory[-1],
        "energies": energies,
        "acceptance": acceptance,
        "kept": trajectory,
        "moments": saved_steps,
    }
    return {name: np.array(values) for name, values in found.items()}


def effective_sample_size(trace):
    """Independent draws that one chain is worth: steps / tau, tau = 1 + 2 sum_t rho_t, from many chains of one law.

    The autocorrelations rho_t are means over all chains about one common mean, so chains that do not mix are worth no
    more than one draw; their sum ends where Geyer's initial monotone sequence of pairs does (Statistical Science 1992).

    Args:
        trace: array (steps, n) or (steps, n, d), n chains.

    Returns:
        float, or array (d,).
    """
    x = np.asarray(trace, "float64")
    x = x - x.mean((0, 1))
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x), axis=0)) ** 2  # padded: without it, ends and beginnings would meet
    covariance = np.fft.irfft(spectrum, axis=0)[: len(x)].mean(1)
    rho = covariance / covariance[0]
    pairs = rho[: len(x) // 2 * 2].reshape(-1, 2, *rho.shape[1:]).sum(1)
    tau = 2 * np.maximum(np.minimum.accumulate(pairs), 0).sum(0) - 1
    return len(x) / tau
