"""What a Glow costs: its inverse and its training step as multiples of its forward pass, measured in one run.

    python flow/bench.py            (part of `make bench`)

The inverse of a coupling computes the same net as its forward pass, so that sampling should cost what encoding does.
"""

import statistics

from common.cli import SIZES, Parser, apply_preset, image_size, main, positive_int

ROUNDS, CALLS = 7, 20
MIXINGS = ("shuffle", "1x1", "exp")


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--size", type=lambda text: image_size(text, (28, *SIZES)), default=28)
    p.add_argument("--channels", type=positive_int, default=1)
    p.add_argument("--batch-size", type=positive_int, default=64)
    p.add_argument("--mixing", nargs="+", choices=MIXINGS, default=MIXINGS)
    return p


def run(args):
    from common.experiments.benchmark import ratio

    print(f"{'mixing':10s}{'forward':>12s}{'inverse':>12s}{'training step':>16s}")
    for mixing in args.mixing:
        times = measure(mixing, args)
        inverse, step = (ratio(times, job, "forward")[0] for job in ("inverse", "step"))
        forward = statistics.median(row["forward"] for row in times) / CALLS
        print(f"{mixing:10s}{1000 * forward:9.1f} ms{inverse:11.2f}x{step:15.2f}x", flush=True)


def measure(mixing, args):
    """What `time_interleaved` found of the jobs "forward", "inverse" and "step", each of `CALLS` batches."""
    import keras
    import numpy as np

    from common.data.batches import EndlessBatches
    from common.experiments.benchmark import time_interleaved
    from flow import glow

    shape, n = (args.size, args.size, args.channels), args.batch_size
    chosen = ["--preset", "quick", "--mixing", mixing, "--size", str(args.size)]
    parser = glow.make_parser()
    trainer, flow = glow.build(apply_preset(parser.parse_args(chosen), parser, glow.PRESETS), shape)
    images = np.random.default_rng(0).integers(0, 256, (CALLS * n, *shape), dtype=np.uint8)
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
        "step": lambda: trainer.fit(batches, steps_per_epoch=CALLS, verbose=0, shuffle=False),
    }
    return time_interleaved(jobs, ROUNDS)


if __name__ == "__main__":
    main(run, make_parser())
