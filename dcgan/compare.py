"""Compare the tricks of Improved Techniques for Training GANs: what each does to the samples (arXiv 1606.03498).

    python dcgan/compare.py --dataset mnist                                 # all tricks, three seeds
    python dcgan/compare.py --dataset 25gaussians --tricks none minibatch_discrimination
    python dcgan/compare.py --dataset stacked_mnist_2 --tricks none minibatch_discrimination

Networks, seeds, number of samples seen and all other settings are equal; only --trick differs. Writes a table, the grid
of samples and the curves to `<out>/dcgan/compare-<dataset>/`, with the number of modes where it is known. Flags that it
does not know are passed to `dcgan/train.py`. Finished runs are not repeated.
"""

from common.cli import main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from dcgan.train import TRICKS


def make_parser():
    p = sweep_parser(__doc__, "mnist", TOYS)
    kinds = ("none", *TRICKS)
    p.add_argument(
        "--tricks", nargs="+", choices=kinds, metavar="NAME",
        help=f"tricks to train with every seed (default {' '.join(kinds)}; points have no batch norm, so not the last)",
    )  # fmt: skip
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    args.tricks = args.tricks or ["none", *(t for t in TRICKS if t != "virtual_batch_norm" or args.dataset not in TOYS)]
    compare_gans(args, "dcgan", "--trick", args.tricks)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
