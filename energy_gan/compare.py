"""Compare entropy regularisers of the generator, or the momentum of the optimisers (articles 6331 and 6316).

    python energy_gan/compare.py --dataset 25gaussians                          # all four terms, three seeds
    python energy_gan/compare.py --dataset stacked_mnist_2 --entropy none jsd   # 100 modes
    python energy_gan/compare.py --dataset 25gaussians --momentum 0 0.5 0.9     # 6316's advice instead

The runs share networks, seeds, the number of samples seen and every other flag; only the regulariser differs, or with
--momentum only the momentum. The script writes a table, a grid of samples, and curves of the distance and of the modes
to `<out>/energy_gan/compare-<dataset>/`, with --momentum to `compare-momentum-<dataset>/`. Flags that this script does
not know are passed on to `energy_gan/train.py`. A training that has finished is not run again.
"""

from common.cli import float_in, main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from energy_gan.train import ENTROPIES


def make_parser():
    p = sweep_parser(__doc__, "25gaussians", TOYS)
    kinds = p.add_mutually_exclusive_group()
    entropy_help = f"entropy regularisers to compare (default {' '.join(ENTROPIES)})"
    kinds.add_argument("--entropy", nargs="+", choices=ENTROPIES, default=ENTROPIES, metavar="NAME", help=entropy_help)
    kinds.add_argument(
        "--momentum", nargs="+", type=float_in(0, 0.999), metavar="B1", help="values of Adam's beta_1 to compare"
    )
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    if args.momentum:
        compare_gans(args, "energy_gan", "--momentum", args.momentum, name="compare-momentum")
    else:
        compare_gans(args, "energy_gan", "--entropy", args.entropy)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
