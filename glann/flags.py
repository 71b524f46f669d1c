"""Flags that the scripts of this article share."""

from common.cli import float_in, parser, positive_int
from common.flag_types import file_path, sample_int, width_int

COMMON = {"batch_size": 128, "latent_dim": 128}
IMAGE_PRESETS = {  # of every script; each adds its own flags
    "smoke": COMMON | {"size": 32, "batch_size": 16, "latent_dim": 8, "width": 16, "kernel_size": 4,
                       "learning_rate": 1e-3, "steps": 6, "every": 3, "limit": 300},
    "quick": COMMON | {"size": 32, "latent_dim": 32, "width": 128, "kernel_size": 4, "learning_rate": 1e-3,
                       "steps": 4000, "every": 400},
    "paper": COMMON | {"size": 128, "width": 1024, "kernel_size": 5, "learning_rate": 1e-4,
                       "steps": 100_000, "every": 1000},
}  # fmt: skip


def image_parser(description, presets):
    """Return the parser of a script that trains a generator of images.

    Args:
        description: str, shown by --help as it is.
        presets: dict of preset name -> {flag: value}.
    """
    p = parser(description, presets, "mnist")
    p.add_argument("--latent-dim", type=width_int, help="length of the vectors that the generator takes")
    p.add_argument("--width", type=width_int, help="channels of the 4 x 4 feature map")
    p.add_argument("--kernel-size", type=positive_int, choices=[4, 5], help="kernel size of all convolutions")
    p.add_argument("--learning-rate", type=float_in(1e-8, 1), help="learning rate of the networks")
    p.add_argument(
        "--features", choices=["classifier", "pixels", "inception"],
        help="features in which samples are measured (default classifier for digits and garments, else pixels; "
        "with pixels no classifier is trained to measure)",
    )  # fmt: skip
    p.add_argument("--every", type=positive_int, help="steps between pictures, measurements and checkpoints")
    p.add_argument("--limit", type=sample_int, help="train on N images drawn by lot (default all)")
    return p


def add_distance(p):
    """Add the flags of the distance between images to a parser."""
    p.add_argument(
        "--distance", choices=["l2", "features"], default="l2",
        help="distance between images: of the pixels (default), or of the feature maps and Gram matrices of a network",
    )  # fmt: skip
    p.add_argument(
        "--vgg-weights", type=file_path, metavar="FILE",
        help="weights of VGG-16 without its top, as Keras names the file: features are VGG's then "
        "(default: those of the classifier of the data set)",
    )  # fmt: skip
