"""What a training step of each method costs beside SGAN's, as ratios measured in one run.

    python rsgan/bench.py                              (or `make bench`)
    python rsgan/bench.py --methods rsgan wgan_gp r3gan

Times steps of the same networks on the same batches in turn, and prints the median ratio to SGAN of each method.
"""

from common.cli import SIZES, Parser, apply_preset, main, positive_int
from rsgan.methods import METHODS

ROUNDS, STEPS = 5, 8
DEFAULT_METHODS = ("sngan", "wgan_gp", "rsgan", "rasgan", "tsgan", "r3gan")


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--methods", nargs="+", choices=METHODS, default=DEFAULT_METHODS, metavar="NAME")
    p.add_argument("--size", type=int, choices=SIZES, default=32)
    p.add_argument("--batch-size", type=positive_int, default=64)
    return p


def run(args):
    from common.experiments.benchmark import print_ratios, random_image_batches, time_interleaved
    from rsgan import train

    def trainer(name):
        chosen = train.make_parser().parse_args(["--preset", "quick", "--loss", name, "--size", str(args.size)])
        apply_preset(chosen, train.make_parser(), train.PRESETS)
        chosen.spectral_norm = METHODS[name].spectral_norm
        return train.build(chosen, (args.size, args.size, 1))[0]

    batches = random_image_batches(args.size, 1, args.batch_size)
    fit = lambda model: lambda: model.fit(batches, steps_per_epoch=STEPS, verbose=0, shuffle=False)
    print_ratios(
        time_interleaved({name: fit(trainer(name)) for name in ("sgan", *args.methods)}, ROUNDS), "sgan", STEPS
    )


if __name__ == "__main__":
    main(run, make_parser())
