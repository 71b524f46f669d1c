"""Small trainers of `rsgan/`, and images for them."""

import keras
import numpy as np

from common.cli import apply_preset
from common.models.layers import Latent
from rsgan import train
from rsgan.methods import METHODS

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 1), dtype=np.uint8)


def build(loss, *flags, shape=(32, 32, 1)):
    """Return what `train.build` makes of a method: (trainer, critic, generator)."""
    parser = train.make_parser()
    args = apply_preset(parser.parse_args(["--preset", "smoke", "--loss", loss, *flags]), parser, train.PRESETS)
    args.spectral_norm = METHODS[loss].spectral_norm if args.spectral_norm is None else args.spectral_norm
    keras.utils.set_random_seed(1)
    return train.build(args, shape)


def latent_of(model):
    return next(layer for layer in model.layers if isinstance(layer, Latent))
