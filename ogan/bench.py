"""What the single loss saves over alternating steps (article 6387), as a ratio measured in one run.

    python ogan/bench.py            (or `make bench`)

Times single-loss steps and 1:1 alternating steps of the same O-GAN in turn and prints the median ratio.
"""

from common.cli import Parser, apply_preset, image_size, main, positive_int

ROUNDS, STEPS = 7, 10


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--size", type=image_size, default=32)
    p.add_argument("--batch-size", type=positive_int, default=64)
    return p


def run(args):
    from common.experiments.benchmark import print_ratios, random_image_batches, time_interleaved
    from ogan import train

    def trainer(kind):
        chosen = ["--preset", "quick", "--size", str(args.size), "--trainer", kind]
        parser = train.make_parser()
        return train.build(apply_preset(parser.parse_args(chosen), parser, train.PRESETS), channels=3)[0]

    def fit(model, steps):
        return lambda: model.fit(batches, steps_per_epoch=steps, verbose=0, shuffle=False)

    # one step of both players each: an alternating round is two steps
    batches = random_image_batches(args.size, 3, args.batch_size)
    jobs = {"single loss": fit(trainer("single"), STEPS), "alternating": fit(trainer("alternating"), 2 * STEPS)}
    print_ratios(time_interleaved(jobs, ROUNDS), "single loss", STEPS)


if __name__ == "__main__":
    main(run, make_parser())
