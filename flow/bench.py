"""Benchmark of Glow: the time of its inverse and of a training step, as multiples of its forward pass.

    python flow/bench.py                                    (part of `make bench`)
    python flow/bench.py --peer .venv-peers/bin/python      (part of `make bench PEERS=1`)

The inverse of a coupling computes the same net as the forward pass, so sampling should cost as much as encoding. With
--peer a Glow of as many levels, steps and channels made of the layers of nflows (PyTorch) is timed in turn with ours.
Both compute the log-determinants too.
"""

import contextlib
import functools
import statistics

from common.cli import SIZES, Parser, apply_preset, image_size, main
from common.flag_types import batch_int, count_int, file_path

ROUNDS, N_BATCHES = 7, 20  # a round times every job once, on so many batches
MIXINGS = ("shuffle", "1x1", "exp")
JOBS = ("forward", "inverse", "step")
NFLOWS = "nflows, "  # before the names of the peer's jobs


def make_parser():
    """Return the parser of this script's flags."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--size", type=functools.partial(image_size, sizes=(28, *SIZES)), default=28, help="pixels (default 28)"
    )
    p.add_argument("--channels", type=count_int, default=1, help="channels of an image (default 1)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="images per batch (default 64)")
    p.add_argument("--mixing", nargs="+", choices=MIXINGS, default=MIXINGS, help="--mixing of flow/glow.py")
    p.add_argument("--peer", type=file_path, metavar="PYTHON", help="the Python of an environment with nflows")
    return p


def run(args):
    """Print a table with one row per mixing, and one of the peer."""
    from common.experiments.benchmark import print_table, ratio

    print(f"{'mixing':10s}{'forward':>12s}{'inverse':>12s}{'training step':>16s}")
    for mixing in args.mixing:
        times = measure(mixing, args)
        inverse, step = (ratio(times, job, "forward")[0] for job in ("inverse", "step"))
        forward = statistics.median(row["forward"] for row in times) / N_BATCHES
        print(f"{mixing:10s}{1000 * forward:9.1f} ms{inverse:11.2f}x{step:15.2f}x", flush=True)
    if args.peer:
        print(f"\nGlow with 1x1 convolutions, {args.size} px, channels {args.channels}, batch {args.batch_size}:\n")
        times = measure("1x1", args, args.peer)
        print_table(times, {name: name.removeprefix(NFLOWS) for name in times[0]}, N_BATCHES)


def measure(mixing, args, peer_python=None):
    """Return the times that `time_interleaved` measures for the jobs "forward", "inverse" and "step".

    Args:
        mixing: str, --mixing of `flow/glow.py`.
        args: flags of this script.
        peer_python: path of a Python with nflows, whose jobs "nflows, forward" and so on are added (default: none).

    Returns:
        List of dicts job -> seconds, one per round. A job processes `N_BATCHES` batches.
    """
    import keras
    import numpy as np

    from common.data.batches import EndlessBatches
    from common.experiments.benchmark import peer, time_interleaved
    from common.models.inference import predict
    from flow import glow

    shape, n = (args.size, args.size, args.channels), args.batch_size
    parser = glow.make_parser()
    flags = parser.parse_args(["--preset", "quick", "--mixing", mixing, "--size", str(args.size)])
    apply_preset(flags, parser, glow.PRESETS)
    trainer, flow = glow.build(flags, shape)
    images = np.random.default_rng(0).integers(0, 256, (N_BATCHES * n, *shape), dtype=np.uint8)
    pixels = (images.astype("float32") + 0.5) / 256
    flow.initialize_from_data(pixels[:n])

    x = keras.Input(shape)
    named = lambda outputs: dict(zip(("outputs", "log_det"), outputs, strict=True))
    encoder = keras.Model(x, named(flow(x)))
    z = keras.Input((args.size * args.size * args.channels,))
    decoder = keras.Model(z, named(flow.inverse(z)))
    codes = predict(encoder, pixels, n)["outputs"]
    batches = EndlessBatches(images, n, dtype="uint8")
    jobs = {
        "forward": lambda: predict(encoder, pixels, n),
        "inverse": lambda: predict(decoder, codes, n),
        "step": lambda: trainer.fit(batches, steps_per_epoch=N_BATCHES, verbose=0, shuffle=False),
    }
    if peer_python:
        print(f"ours: {flow.count_params():,} weights")
    command = [str(number) for number in (*shape[1:], n, N_BATCHES, flags.levels, flags.depth, flags.width)]
    with contextlib.ExitStack() as stack:
        if peer_python:
            names = [NFLOWS + name for name in JOBS]
            jobs |= stack.enter_context(peer(peer_python, "bench/peers/speed/glow.py", command, names))
        return time_interleaved(jobs, ROUNDS)


if __name__ == "__main__":
    main(run, make_parser())
