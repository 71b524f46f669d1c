"""Flags that the scripts of this article share."""

from common.cli import float_in, parser, positive_int
from common.flag_types import file_path, sample_int, width_int


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
        help="features in which samples are measured (default classifier for digits and garments, else pixels)",
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
