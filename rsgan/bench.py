"""What a training step of each method costs beside SGAN's, as ratios measured in one run.

    python rsgan/bench.py                              (or `make bench`)
    python rsgan/bench.py --methods rsgan wgan_gp r3gan

Times steps of the same networks on the same batches in turn, and prints the median ratio to SGAN of each method.
"""

import statistics
import time

from common.cli import SIZES, Parser, main, positive_int, resolve
from rsgan.methods import METHODS

ROUNDS, STEPS = 5, 8
FEW = ("sngan", "wgan_gp", "rsgan", "rasgan", "tsgan", "r3gan")


def flags():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--methods", nargs="+", choices=METHODS, default=FEW, metavar="NAME")
    p.add_argument("--size", type=int, choices=SIZES, default=32)
    p.add_argument("--batch-size", type=positive_int, default=64)
    return p


def run(args):
    import numpy as np

    from common.batches import Batches
    from rsgan import train

    def trainer(name):
        chosen = train.flags().parse_args(["--preset", "quick", "--loss", name, "--size", str(args.size)])
        resolve(chosen, train.flags(), train.PRESETS)
        chosen.spectral_norm = METHODS[name].spectral_norm
        return train.build(chosen, (args.size, args.size, 1))[0]

    pixels = np.random.default_rng(0).integers(0, 256, (4 * args.batch_size, args.size, args.size, 1), dtype=np.uint8)
    batches = Batches(pixels, args.batch_size)
    trainers = {name: trainer(name) for name in ("sgan", *args.methods)}

    def seconds(name):
        start = time.perf_counter()
        trainers[name].fit(batches, steps_per_epoch=STEPS, verbose=0, shuffle=False)
        return time.perf_counter() - start

    for name in trainers:
        seconds(name)  # compile
    times = [{name: seconds(name) for name in trainers} for _ in range(ROUNDS)]
    print(f"sgan: {1000 * statistics.median(t['sgan'] for t in times) / STEPS:.0f} ms for one step of both players")
    for name in args.methods:
        ratios = sorted(t[name] / t["sgan"] for t in times)
        print(f"{name} / sgan: {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main(run, flags())
