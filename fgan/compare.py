"""Which divergences train a GAN, and which do not (article 6016)?

    python fgan/compare.py --dataset mnist                     # all of them, three seeds
    python fgan/compare.py --dataset mnist --seeds 1 --divergences kl reverse_kl --swap-roles

Same networks, same seeds, same number of images seen, everything but the divergence equal. Writes a table, the grid of
samples and the curves to `<out>/fgan/compare-<dataset>/`, with swapped roles to `compare-swapped-<dataset>/`. Every
flag it does not know is handed to `fgan/train.py`. What is finished is not trained again.

The first GAN's divergence is left out: it is twice JS, so its loss is twice that loss and a constant, and Adam does
not see a factor.
"""

from common.cli import main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from fgan.names import NAMES


def make_parser():
    p, default = sweep_parser(__doc__, "mnist", TOYS), [name for name in NAMES if name != "gan"]
    p.add_argument("--divergences", nargs="+", choices=NAMES, default=default, metavar="NAME", help=", ".join(NAMES))
    p.add_argument("--swap-roles", action="store_true", help="of data and samples in the divergence: D(q||p)")
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    args.forwarded += ["--swap-roles"] * args.swap_roles
    name = "compare-swapped" if args.swap_roles else "compare"
    compare_gans(args, "fgan", "--divergence", args.divergences, name=name)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True)
