"""Which GAN comes nearer to the data, and which comes there sooner (article 6110, its figure 6110-F1)?

    python rsgan/compare.py --dataset mnist                    # the six of the article, three seeds
    python rsgan/compare.py --dataset mnist --once all         # and every other method once
    python rsgan/compare.py --dataset stacked_mnist_2 --methods sgan_r1 rsgan_r1 sgan_r1_r2 r3gan

Same networks, same seeds, same number of images seen, everything but the loss equal. Writes a table, the grid of
samples and the curves to `<out>/rsgan/compare-<dataset>/`. Every flag it does not know is handed to `rsgan/train.py`.
What is finished is not trained again.
"""

from common.cli import main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from rsgan.methods import METHODS

SIX = ("sgan", "lsgan", "wgan_gp", "sngan", "rsgan", "rasgan")


def make_parser():
    p = sweep_parser(__doc__, "mnist", TOYS)
    p.add_argument("--methods", nargs="+", choices=METHODS, default=SIX, metavar="NAME", help="compared over all seeds")
    p.add_argument(
        "--once", nargs="+", choices=[*METHODS, "all"], default=[], metavar="NAME", help="compared with seed 0 alone"
    )
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    compare_gans(args, "rsgan", "--loss", args.methods, METHODS if "all" in args.once else args.once)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
