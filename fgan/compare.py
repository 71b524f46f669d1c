"""Compare divergences of the f-GAN: which ones train a GAN (article 6016)?

    python fgan/compare.py --dataset mnist                     # all of them, three seeds
    python fgan/compare.py --dataset mnist --seeds 1 --divergences kl reverse_kl --swap-roles

The runs share networks, seeds, the number of images seen and every other flag; only the divergence differs. The script
writes a table, a grid of samples and the curves to `<out>/fgan/compare-<dataset>/`, with swapped roles to
`compare-swapped-<dataset>/`. Flags that this script does not know are passed on to `fgan/train.py`. A training that has
finished is not run again.

The divergence of the first GAN is left out. It is twice JS, so its loss is twice that loss plus a constant, and Adam
ignores a constant factor.
"""

from common.cli import main
from common.data.toy_2d import TOYS
from common.experiments.sweep import sweep_parser
from fgan.names import NAMES


def make_parser():
    p = sweep_parser(__doc__, "mnist", TOYS)
    default = [name for name in NAMES if name != "gan"]
    names_help = f"divergences to compare, of {', '.join(NAMES)} (default all but gan)"
    p.add_argument("--divergences", nargs="+", choices=NAMES, default=default, metavar="NAME", help=names_help)
    p.add_argument("--swap-roles", action="store_true", help="exchange data and samples in the divergence: D(q||p)")
    return p


def run(args):
    from common.experiments.compare_gans import compare_gans

    name = "compare-swapped" if args.swap_roles else "compare"
    train_flags = ["--swap-roles"] * args.swap_roles
    compare_gans(args, "fgan", "--divergence", args.divergences, name=name, train_flags=train_flags)


if __name__ == "__main__":
    main(run, make_parser(), forward_unknown=True, backend_needed=False)
