"""Time MALA: effective samples a second of chains on the latents of a GAN of the plane (article 6331).

    python energy_gan/bench.py                                                        (part of `make bench`)
    python energy_gan/bench.py --peer .venv-peers/bin/python                          (part of `make bench PEERS=1`)
    KERAS_BACKEND=jax python energy_gan/bench.py --peer .venv-peers/bin/python        # both on JAX

The energy is that of `energy_gan/sample.py` with untrained networks of the size of `--preset quick`. With --peer
BlackJAX runs as many chains on the same energy, in turn with ours. `sample_chain` compiles once in each call,
so BlackJAX is timed with and without its compilation.
"""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from common.cli import Parser, main
from common.flag_types import batch_int, file_path

ROUNDS, STEPS, STEP_SIZE, LATENT_DIM, WIDTH = 7, 500, 0.1, 3, 256
OURS, BLACKJAX, COMPILED = "ours", "BlackJAX", "BlackJAX, compiled before"


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--chains", type=batch_int, default=1000, help="number of chains (default 1000)")
    p.add_argument("--peer", type=file_path, metavar="PYTHON", help="the Python of an environment with BlackJAX")
    return p


def effective_samples(trajectory):
    """Return the number of independent samples whose mean varies as much as that of a trajectory.

    It is n m / (1 + 2 sum_t rho_t) for n steps of m chains. The autocorrelation rho_t at lag t is the mean over chains
    and coordinates, with the mean and variance of all chains; the sum ends where it first falls below 0.05.

    Args:
        trajectory: array (n, m, d).
    """
    centred = trajectory - trajectory.mean((0, 1))
    variance = (centred**2).mean((0, 1))
    time = 1.0
    for lag in range(1, len(centred)):
        rho = ((centred[:-lag] * centred[lag:]).mean((0, 1)) / variance).mean()
        if rho < 0.05:
            break
        time += 2 * rho
    return trajectory.shape[0] * trajectory.shape[1] / time


def run(args):
    from common.experiments.benchmark import peer, print_table, time_interleaved
    from common.models.networks import build_critic, build_generator
    from energy_gan.langevin import sample_chain
    from energy_gan.sample import energy_of

    generator, critic = build_generator((2,), LATENT_DIM, WIDTH), build_critic((2,), WIDTH)
    energy = energy_of(critic, generator, 1.0, True)
    start = np.random.default_rng(0).standard_normal((args.chains, LATENT_DIM)).astype("float32")
    trajectories = {}

    def ours():
        chain = sample_chain(energy, start, STEPS, STEP_SIZE)
        trajectories[OURS] = chain["trajectory"][1:]

    with contextlib.ExitStack() as stack:
        jobs = {OURS: ours}
        if args.peer:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            weights = [np.asarray(w) for network in (generator, critic) for w in network.get_weights()]
            np.savez(folder / "energy.npz", *weights, start=start)
            command = [str(folder), str(STEPS), str(STEP_SIZE)]
            jobs |= stack.enter_context(peer(args.peer, "bench/peers/speed/mala.py", command, [BLACKJAX, COMPILED]))
        times = time_interleaved(jobs, ROUNDS)
        if args.peer:
            trajectories[BLACKJAX] = trajectories[COMPILED] = np.load(folder / "trajectory.npy")
    print(f"MALA, {args.chains} chains, {STEPS} steps of size {STEP_SIZE}:\n")
    print_table(times, dict.fromkeys(jobs, OURS), STEPS)
    print("\n| | effective samples of a chain | a second, all chains |\n|---|---|---|")
    for name, trajectory in trajectories.items():
        n, seconds = effective_samples(trajectory), np.median([row[name] for row in times])
        print(f"| {name} | {n / args.chains:.1f} | {n / seconds:,.0f} |")


if __name__ == "__main__":
    main(run, make_parser())
