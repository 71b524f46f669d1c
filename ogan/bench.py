"""What the single loss saves over alternating steps (article 6387), as a ratio measured in one run.

    python ogan/bench.py            (or `make bench`)

Times single-loss steps and 1:1 alternating steps of the same O-GAN in turn and prints the median ratio.
"""

import statistics
import time

from common.cli import Parser, image_size, main, positive_int, resolve

ROUNDS, STEPS = 7, 10


def flags():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--size", type=image_size, default=32)
    p.add_argument("--batch-size", type=positive_int, default=64)
    return p


def run(args):
    import numpy as np

    from common.batches import Batches
    from ogan import train

    def trainer(kind):
        chosen = ["--preset", "quick", "--size", str(args.size), "--trainer", kind]
        return train.build(resolve(train.flags().parse_args(chosen), train.flags(), train.PRESETS), channels=3)[0]

    pixels = np.random.default_rng(0).integers(0, 256, (4 * args.batch_size, args.size, args.size, 3), dtype=np.uint8)
    batches = Batches(pixels, args.batch_size)
    trainers = {kind: trainer(kind) for kind in ("single", "alternating")}

    def seconds(kind):
        # one step of both players each: an alternating round is two steps
        steps = STEPS * (2 if kind == "alternating" else 1)
        start = time.perf_counter()
        trainers[kind].fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)
        return time.perf_counter() - start

    for kind in trainers:
        seconds(kind)  # compile
    times = [(seconds("single"), seconds("alternating")) for _ in range(ROUNDS)]
    ratios = sorted(b / a for a, b in times)
    print(f"single loss: {1000 * statistics.median(a for a, _ in times) / STEPS:.0f} ms for one step of both players")
    print(f"alternating: {1000 * statistics.median(b for _, b in times) / STEPS:.0f} ms")
    print(f"alternating / single: {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main(run, flags())
