"""Train zuko's flows (PyTorch) on the points of the plane that `flow/realnvp.py` trains on, and measure them alike.

    make peers                                                    # everything in this folder, in a venv of its own
    PYTHONPATH=. .venv-peers/bin/python bench/peers/zuko_flows.py --only 8gaussians 25gaussians --seeds 0 1 2

A training gets a number of processor seconds on one core, so that other programs on the machine hardly change its
result. One row per training goes to the output, in the form of the table of README.md.
"""

import argparse
import math
import time
from typing import NamedTuple

import torch
import zuko

from common.data import toy_2d

BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 512, 2e-3, 1.0


class Experiment(NamedTuple):
    """A training: which flow, on which points, for how long."""

    flow: str
    toy: str
    points: int  # a fifth of them is held out
    seconds: float  # of processor time, on one core


EXPERIMENTS = {
    "8gaussians": Experiment("nsf", "8gaussians", 50_000, 240),
    "25gaussians": Experiment("nsf", "25gaussians", 50_000, 240),
    "8gaussians-affine": Experiment("realnvp", "8gaussians", 50_000, 200),
    "25gaussians-affine": Experiment("realnvp", "25gaussians", 50_000, 200),
    "checkerboard": Experiment("nsf", "checkerboard", 100_000, 200),
    "two_moons": Experiment("nsf", "two_moons", 100_000, 100),
    "two_moons-3000": Experiment("nsf", "two_moons", 3000, 100),
}
COLUMNS = ("data", "flow", "weights", "seed", "steps", "CPU s", "held out", "fresh points", "entropy", "KL left")


def make_flow(name):
    """Return a zuko flow for points of the plane: "nsf", 116,000 weights, or "realnvp", 70,000 weights."""
    if name == "nsf":
        return zuko.flows.NSF(2, transforms=4, bins=16, hidden_features=(128, 128))
    return zuko.flows.RealNVP(2, transforms=16, hidden_features=(64, 64))


def train(flow, points, seconds, seed):
    """Train a flow on standardised points for a number of processor seconds, and return the number of steps.

    The learning rate falls to 0 along half a cosine. Gradients are clipped at norm 1.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(flow.parameters(), LEARNING_RATE)
    start, steps, order = time.process_time(), 0, torch.empty(0, dtype=torch.long)
    while (share := (time.process_time() - start) / seconds) < 1:
        if len(order) < BATCH_SIZE:
            order = torch.randperm(len(points), generator=generator)
        batch, order = points[order[:BATCH_SIZE]], order[BATCH_SIZE:]
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * share)) / 2
        loss = -flow().log_prob(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(flow.parameters(), CLIP_NORM)
        optimizer.step()
        steps += 1
    return steps


def measure(flow, points, mean, std):
    """Return the mean of -log q, in nats and in the units of the points as they are."""
    with torch.no_grad():
        parts = [flow().log_prob(part) for part in ((torch.from_numpy(points) - mean) / std).split(5000)]
    return float(-torch.cat(parts).double().mean() + torch.log(std).sum())


def run(experiment, seed):
    """Train and measure one flow, and return its row of the table."""
    torch.manual_seed(seed)
    # the draws of flow/training/run_plane.py
    held_out = toy_2d.sample(experiment.toy, experiment.points // 5, [seed, 1])
    points = torch.from_numpy(toy_2d.sample(experiment.toy, experiment.points - len(held_out), [seed, 0]))
    fresh = toy_2d.sample(experiment.toy, 20_000, [seed, 2])
    mean, std = points.mean(0), points.std(0, correction=0)

    flow = make_flow(experiment.flow)
    steps = train(flow, (points - mean) / std, experiment.seconds, seed)
    nats = measure(flow, fresh, mean, std)
    return (
        experiment.toy,
        experiment.flow,
        sum(p.numel() for p in flow.parameters()),
        seed,
        steps,
        f"{experiment.seconds:g}",
        f"{measure(flow, held_out, mean, std):.3f}",
        f"{nats:.3f}",
        f"{toy_2d.entropy(experiment.toy):.3f}",
        f"{nats + toy_2d.log_density(experiment.toy, fresh).mean():.3f}",
    )


def main():
    """Run the experiments that the flags name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=list(EXPERIMENTS), help="default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="default 0")
    parser.add_argument("--seconds", type=float, help="processor seconds of a training (default: as in the README)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(*("| " + " | ".join(row) + " |" for row in (COLUMNS, ["---"] * len(COLUMNS))), sep="\n")
    for name in args.only:
        for seed in args.seeds:
            experiment = EXPERIMENTS[name]
            row = run(experiment._replace(seconds=args.seconds or experiment.seconds), seed)
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
