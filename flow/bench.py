"""Benchmark of Glow: the time of its inverse and of a training step, as multiples of its forward pass.

    python flow/bench.py            (part of `make bench`)

The inverse of a coupling computes the same net as the forward pass, so sampling should cost as much as encoding.
"""

import functools
import statistics

from common.cli import SIZES, Parser, apply_preset, image_size, main
from common.flag_types import batch_int, count_int

ROUNDS, N_BATCHES = 7, 20  # a round times every job once, on so many batches
MIXINGS = ("shuffle", "1x1", "exp")


def make_parser():
    """Return the parser of this script's flags."""
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--size", type=functools.partial(image_size, sizes=(28, *SIZES)), default=28, help="pixels (default 28)"
    )
    p.add_argument("--channels", type=count_int, default=1, help="channels of an image (default 1)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="images per batch (default 64)")
    p.add_argument("--mixing", nargs="+", choices=MIXINGS, default=MIXINGS, help="--mixing of flow/glow.py")
    return p


def run(args):
    """Print a table with one row per mixing."""
    from common.experiments.benchmark import ratio

    print(f"{'mixing':10s}{'forward':>12s}{'inverse':>12s}{'training step':>16s}")
    for mixing in args.mixing:
        times = measure(mixing, args)
        inverse, step = (ratio(times, job, "forward")[0] for job in ("inverse", "step"))
        forward = statistics.median(row["forward"] for row in times) / N_BATCHES
        print(f"{mixing:10s}{1000 * forward:9.1f} ms{inverse:11.2f}x{step:15.2f}x", flush=True)


def measure(mixing, args):
    """Return the times that `time_interleaved` measures for the jobs "forward", "inverse" and "step".

    Args:
        mixing: str, --mixing of `flow/glow.py`.
        args: flags of this script.

    Returns:
        List of dicts job -> seconds, one per round. A job processes `N_BATCHES` batches.
    """
    import keras
    import numpy as np

    from common.data.batches import EndlessBatches
    from common.experiments.benchmark import time_interleaved
    from flow import glow

    shape, n = (args.size, args.size, args.channels), args.batch_size
    parser = glow.make_parser()
    flags = parser.parse_args(["--preset", "quick", "--mixing", mixing, "--size", str(args.size)])
    trainer, flow = glow.build(apply_preset(flags, parser, glow.PRESETS), shape)
    images = np.random.default_rng(0).integers(0, 256, (N_BATCHES * n, *shape), dtype=np.uint8)
    pixels = (images.astype("float32") + 0.5) / 256
    flow.initialize_from_data(pixels[:n])

    x = keras.Input(shape)
    encoder = keras.Model(x, flow(x)[0])
    z = keras.Input((args.size * args.size * args.channels,))
    decoder = keras.Model(z, flow.inverse(z)[0])
    codes = encoder.predict(pixels, batch_size=n, verbose=0)
    batches = EndlessBatches(images, n, dtype="uint8")
    jobs = {
        "forward": lambda: encoder.predict(pixels, batch_size=n, verbose=0),
        "inverse": lambda: decoder.predict(codes, batch_size=n, verbose=0),
        "step": lambda: trainer.fit(batches, steps_per_epoch=N_BATCHES, verbose=0, shuffle=False),
    }
    return time_interleaved(jobs, ROUNDS)


if __name__ == "__main__":
    main(run, make_parser())
