"""What keeps the fakes apart (article 6331)? Terms for the generator's entropy, side by side, over seeds.

    python energy_gan/compare.py --dataset 25gaussians                          # all four, three seeds
    python energy_gan/compare.py --dataset stacked_mnist_2 --entropy none jsd   # 100 modes
    python energy_gan/compare.py --dataset 25gaussians --momentum 0 0.5 0.9     # 6316's advice instead

Same networks, same seeds, same number of samples seen, everything but that term equal, or, with --momentum, everything
but the momentum of the optimisers. Writes a table, the grid of samples, the curves of the distance and of the modes to
`<out>/energy_gan/compare-<dataset>/`, of the momentum to `compare-momentum-<dataset>/`. Every flag it does not know is
handed to `energy_gan/train.py`. What is finished is not trained again.
"""

from common.cli import float_in, main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from energy_gan.train import ENTROPIES


def make_parser():
    p = sweep_parser(__doc__, "25gaussians", TOYS)
    kinds = p.add_mutually_exclusive_group()
    kinds.add_argument("--entropy", nargs="+", choices=ENTROPIES, default=ENTROPIES, metavar="NAME")
    kinds.add_argument("--momentum", nargs="+", type=float_in(0, 0.999), metavar="B1")
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    if args.momentum:
        compare_gans(args, "energy_gan", "--momentum", args.momentum, name="compare-momentum")
    else:
        compare_gans(args, "energy_gan", "--entropy", args.entropy)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
