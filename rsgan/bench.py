"""Measure the time of a training step of each method, as a ratio to SGAN's.

    python rsgan/bench.py                              (or `make bench`)
    python rsgan/bench.py --methods rsgan wgan_gp r3gan

Times steps of the same networks on the same batches in turn, and prints each method's median ratio to SGAN.
"""

from common.cli import SIZES, Parser, apply_preset, main, positive_int
from common.flag_types import batch_int
from rsgan.methods import METHODS

ROUNDS = 5
STEPS = 8  # steps that are timed in a round
DEFAULT_METHODS = ("sngan", "wgan_gp", "rsgan", "rasgan", "tsgan", "r3gan")


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument(
        "--methods", nargs="+", choices=METHODS, default=DEFAULT_METHODS, metavar="NAME",
        help=f"methods to time (default {' '.join(DEFAULT_METHODS)})",
    )  # fmt: skip
    p.add_argument("--size", type=positive_int, choices=SIZES, default=32, help="pixels (default 32)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="images per step (default 64)")
    return p


def run(args):
    from common.experiments.benchmark import fit_job, print_ratios, random_image_batches, time_interleaved
    from rsgan import train

    def build_trainer(name):
        parser = train.make_parser()
        flags = parser.parse_args(["--preset", "quick", "--loss", name, "--size", str(args.size)])
        apply_preset(flags, parser, train.PRESETS)
        flags.spectral_norm = METHODS[name].spectral_norm
        return train.build(flags, (args.size, args.size, 1))[0]

    batches = random_image_batches(args.size, 1, args.batch_size)
    jobs = {name: fit_job(build_trainer(name), batches, STEPS) for name in ("sgan", *args.methods)}
    print_ratios(time_interleaved(jobs, ROUNDS), "sgan", STEPS)


if __name__ == "__main__":
    main(run, make_parser())
