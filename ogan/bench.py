"""Measure the time that one loss for both players saves over alternating steps (article 6387), as a ratio.

    python ogan/bench.py            (or `make bench`)

Times single-loss steps and 1:1 alternating steps of the same O-GAN in turn, and prints the median ratio.
"""

from common.cli import Parser, apply_preset, image_size, main
from common.flag_types import batch_int

ROUNDS = 7
STEPS = 10  # steps of both players that are timed in a round


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--size", type=image_size, default=32, help="pixels (default 32)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="images per step (default 64)")
    return p


def run(args):
    from common.experiments.benchmark import fit_job, print_ratios, random_image_batches, time_interleaved
    from ogan import train

    def build_trainer(kind):
        parser = train.make_parser()
        flags = parser.parse_args(["--preset", "quick", "--size", str(args.size), "--trainer", kind])
        return train.build(apply_preset(flags, parser, train.PRESETS), channels=3)[0]

    batches = random_image_batches(args.size, 3, args.batch_size)
    jobs = {
        "single loss": fit_job(build_trainer("single"), batches, STEPS),
        # a round of alternating, one step of each player, counts as two steps
        "alternating": fit_job(build_trainer("alternating"), batches, 2 * STEPS),
    }
    print_ratios(time_interleaved(jobs, ROUNDS), "single loss", STEPS)


if __name__ == "__main__":
    main(run, make_parser())
