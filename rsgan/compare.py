"""Compare GANs: which comes nearer to the data, and which sooner (article 6110, its figure 6110-F1)?

    python rsgan/compare.py --dataset mnist                    # the article's six, three seeds
    python rsgan/compare.py --dataset mnist --once all         # and every other method once
    python rsgan/compare.py --dataset stacked_mnist_2 --methods sgan_r1 rsgan_r1 sgan_r1_r2 r3gan

Networks, seeds, number of images seen and all other settings are equal; only the loss differs. Writes a table, the
grid of samples and the curves to `<out>/rsgan/compare-<dataset>/`. Flags that it does not know are passed to
`rsgan/train.py`. Finished runs are not repeated.
"""

from common.cli import main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from rsgan.methods import METHODS

ARTICLE_METHODS = ("sgan", "lsgan", "wgan_gp", "sngan", "rsgan", "rasgan")


def make_parser():
    p = sweep_parser(__doc__, "mnist", TOYS)
    p.add_argument(
        "--methods", nargs="+", choices=METHODS, default=ARTICLE_METHODS, metavar="NAME",
        help=f"methods to train with every seed (default {' '.join(ARTICLE_METHODS)})",
    )  # fmt: skip
    p.add_argument(
        "--once", nargs="+", choices=[*METHODS, "all"], default=[], metavar="NAME",
        help="more methods, to train with seed 0 alone; all: every method that is not in --methods",
    )  # fmt: skip
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    compare_gans(args, "rsgan", "--loss", args.methods, METHODS if "all" in args.once else args.once)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
