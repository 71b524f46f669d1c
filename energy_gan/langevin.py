"""Langevin chains with several acceptance rules (article 6331; MALA, Roberts & Tweedie 1996).

To sample from pi = e^{-E}, a chain proposes

    z' = z - step_size/2 grad E(z) + sqrt(step_size) a,     a ~ N(0, I).

MALA accepts the proposal with probability min{1, pi(z') q(z|z') / (pi(z) q(z'|z))}, else the chain stays at z. Here
q(z'|z) is the density of the move, N(z - step_size/2 grad E(z), step_size I). MALA keeps pi exactly, whatever the step
size.
"""

import keras
import numpy as np
from keras import ops

from common import backend
from common.errors import UserError
from common.models.inference import check_outputs
from common.streams import stage


def log_proposal(start, end, step_size, drift=0.5):
    """Return log q(end|start) up to a constant, (n, 1).

    Args:
        start: state, see `RULES`.
        end: state.
        step_size: float, variance of the noise.
        drift: float, factor of step_size grad E in the move. It is the density of the move for 1/2 alone.
    """
    residual = end["z"] - start["z"] + drift * step_size * start["slope"]
    return -ops.sum(ops.square(residual), -1, keepdims=True) / (2 * step_size)


# An acceptance rule takes a state, its proposal and the step size. A state is a dict of the positions `z` (n, d), their
# energies `energy` (n, 1) and gradients `slope` (n, d). The rule returns the log probability of acceptance, (n, 1);
# above 0 the proposal is always accepted.


def mala(z, proposal, step_size):
    """Return log [pi(z') q(z|z') / (pi(z) q(z'|z))], the Metropolis-Hastings rule for this move."""
    log_q_back, log_q_forward = log_proposal(proposal, z, step_size), log_proposal(z, proposal, step_size)
    return z["energy"] - proposal["energy"] + log_q_back - log_q_forward


def langevin(z, proposal, step_size):
    """Return 0: every proposal is accepted. The chain reaches pi only in the limit of small steps."""
    return ops.zeros_like(z["energy"])


def article(z, proposal, step_size):
    """Return 6331's formula as printed: its q has the drift step_size grad E, twice that of the move.

    It cancels the target's own force, so for small steps the chain diffuses freely.
    """
    log_q_back = log_proposal(proposal, z, step_size, drift=1.0)
    log_q_forward = log_proposal(z, proposal, step_size, drift=1.0)
    return z["energy"] - proposal["energy"] + log_q_back - log_q_forward


def meg(z, proposal, step_size):
    """Return the rule of `MALA_corrected_sampler` in MEG's code (arXiv 1901.08508): log q has the norm unsquared."""

    def log_q(start, end):
        residual = end["z"] - start["z"] + step_size / 2 * start["slope"]
        return -ops.norm(residual, axis=-1, keepdims=True) / (2 * step_size)

    return z["energy"] - proposal["energy"] + log_q(proposal, z) - log_q(z, proposal)


def meg_plain(z, proposal, step_size):
    """Return the rule of `MALA_sampler` in MEG's code: no q, as if the move were symmetric.

    For small steps the move alone already keeps pi. With this rule on top the chain samples from e^{-2 E}.
    """
    return z["energy"] - proposal["energy"]


RULES = {"mala": mala, "langevin": langevin, "article": article, "meg": meg, "meg_plain": meg_plain}
STEPS_AT_ONCE = 10


class MarkovSteps(keras.Model):
    """`STEPS_AT_ONCE` steps of n chains at once, in one compiled loop.

    It maps a state to the next ones, one after the other along a first axis, with a further entry `accepted`, 0 or 1,
    (steps, n, 1). A state carries its energy and gradient, so a step computes a single gradient, that at the proposal.

    Args:
        energy: model or function, (n, d) -> (n, 1). Each row of its output depends on the same row of z alone.
        step_size: float, variance of the noise.
        rule: a name of `RULES`.
        seed: int, seed of the noise, which has a random state of its own, as in `common.models.layers.Latent`.
    """

    def __init__(self, energy, step_size, rule="mala", seed=0):
        super().__init__()
        self.energy, self.step_size, self.rule = energy, step_size, RULES[rule]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True  # it has no weights of its own

    def state(self, z):
        """Return the state at positions z (n, d), see `RULES`."""
        energy, slope = backend.score_and_input_gradient(self.energy, z)
        return {"z": z, "energy": ops.cast(energy, "float32"), "slope": ops.cast(slope, "float32")}

    def step(self, state, randomness):
        """Return the next state, twice: as the carry and as the output of `keras.ops.scan`.

        Args:
            state: dict, see `RULES`, with an entry `accepted`, which is not read.
            randomness: tuple (noise (n, d), standard normal; u (n, 1), uniform).
        """
        noise, u = randomness
        proposal = self.state(state["z"] - self.step_size / 2 * state["slope"] + self.step_size**0.5 * noise)
        accepted = ops.log(u) <= self.rule(state, proposal, self.step_size)  # False where the rule gives NaN
        next_state = {name: ops.where(accepted, proposal[name], state[name]) for name in proposal}
        next_state["accepted"] = ops.cast(accepted, "float32")
        return next_state, next_state

    def call(self, state):
        draw = lambda sample, shape: sample((STEPS_AT_ONCE, *shape), seed=self.seed_generator)
        noise = draw(keras.random.normal, ops.shape(state["z"]))
        u = draw(keras.random.uniform, ops.shape(state["energy"]))
        start = {**state, "accepted": ops.zeros_like(state["energy"])}
        return ops.scan(self.step, start, (noise, u))[1]


@stage("running Markov chains")
def sample_chain(energy, z, steps, step_size, rule="mala", seed=0, every=1, batch_size=1000, verbose=0):
    """Run chains side by side.

    Args:
        energy: model or function, (n, d) -> (n, 1), as for `MarkovSteps`.
        z: array (n, d), start of the chains.
        steps: int, number of steps of each chain.
        step_size: float, variance of the noise.
        rule: a name of `RULES`.
        seed: int, seed of the noise.
        every: int, number of steps between two saved positions. The first and the last position are saved too.
        batch_size: int, number of chains that are computed at once.
        verbose: 1 for a progress bar, 0 for none.

    Returns:
        dict of arrays: `z` (n, d), the last positions; `energies` (steps + 1, n); `acceptance` (steps,), the fraction
        of the chains that moved; `trajectory` (m, n, d), the saved positions; `saved_steps` (m,), their step numbers.

    Raises:
        UserError: if an energy or a position is NaN or infinite.
    """
    chains = MarkovSteps(energy, step_size, rule, seed)
    z = np.asarray(z, "float32")
    batches = np.array_split(z, -(-len(z) // batch_size))
    states = [chains.state(ops.convert_to_tensor(batch)) for batch in batches]
    energies = [np.concatenate([ops.convert_to_numpy(state["energy"]) for state in states])[:, 0]]
    check_outputs(energy, z, energies[0])
    acceptance, trajectory, saved_steps = [], [z], [0]
    progress_bar = keras.utils.Progbar(steps, verbose=verbose)
    while (done := len(acceptance)) < steps:
        parts = [chains.predict_on_batch(state) for state in states]
        states = [{name: part[name][-1] for name in ("z", "energy", "slope")} for part in parts]
        new = {name: np.concatenate([part[name] for part in parts], 1) for name in ("z", "energy", "accepted")}
        for i, t in enumerate(range(done + 1, min(done + STEPS_AT_ONCE, steps) + 1)):
            acceptance.append(new["accepted"][i].mean())
            energies.append(new["energy"][i, :, 0])
            if not np.isfinite(energies[-1]).all():
                raise UserError(_diverged("the energy", energies[-1], t, step_size), topic="nan")
            if t % every == 0 or t == steps:
                trajectory.append(new["z"][i])
                saved_steps.append(t)
                if not np.isfinite(trajectory[-1]).all():
                    raise UserError(_diverged("the position", trajectory[-1], t, step_size), topic="nan")
        progress_bar.update(len(acceptance))
    chain = {
        "z": trajectory[-1],
        "energies": energies,
        "acceptance": acceptance,
        "trajectory": trajectory,
        "saved_steps": saved_steps,
    }
    return {name: np.array(values) for name, values in chain.items()}


def _diverged(what, values, t, step_size):
    """Return the message about values (n, ...) that are not finite for some of n chains after t steps."""
    chain = np.argwhere(~np.isfinite(values))[0][0]
    return (
        f"{what} of chain {chain} is not finite after {t} steps of size {step_size:g}: take smaller steps (--step-size)"
    )
