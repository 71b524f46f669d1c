"""The trainer of every script, at sizes that build in a fraction of a second."""

from typing import NamedTuple

import keras
import numpy as np

import common.models.networks  # noqa: F401 - its import takes a number of Python's generator, which must not be inside a build
import dcgan.train
import energy_gan.train
import fgan.estimate
import fgan.train
import ogan.train
import rsgan.train
from common.cli import apply_preset
from common.data.batches import EndlessBatches
from common.data.toy_2d import TOYS
from flow import glow, nice, realnvp

IMAGES, PLANE = ("--size", "16", "--width", "8"), ("--dataset", "8gaussians", "--width", "8")
FLOWS = (glow, nice, realnvp)
TRICKS = ("feature_matching", "minibatch_discrimination", "historical_averaging", "virtual_batch_norm")
# name -> (script, flags)
SCRIPTS = {
    "ogan": (ogan.train, ("--size", "16", "--critic", "head", "--self-modulated")),
    "ogan-alternating": (
        ogan.train,
        ("--size", "16", "--trainer", "alternating", "--gan", "gan_qp", "--latent-loss", "mse"),
    ),
    "rsgan-r3gan": (rsgan.train, (*IMAGES, "--loss", "r3gan")),
    "rsgan-wgan_gp": (rsgan.train, (*PLANE, "--loss", "wgan_gp")),
    "rsgan-tsgan": (rsgan.train, (*IMAGES, "--loss", "tsgan", "--spectral-norm", "--trainer", "alternating")),
    "dcgan": (dcgan.train, (*IMAGES, "--trick", *TRICKS)),
    "fgan": (fgan.train, (*PLANE, "--divergence", "kl")),
    "fgan-estimate": (fgan.estimate, ("--size", "16", "--width", "8", "--divergence", "jeffrey")),
    "energy-infogan": (energy_gan.train, (*PLANE, "--entropy", "infogan")),
    "energy-ebgan-jsd": (energy_gan.train, (*PLANE, "--energy", "ebgan", "--entropy", "jsd")),
    "glow": (glow, ()),
    "nice": (nice, ("--noise", "uniform")),
    "realnvp": (realnvp, ("--dataset", "mnist")),
    "realnvp-plane": (realnvp, ("--couplings", "1", "--width", "8")),
}


class Tiny(NamedTuple):
    """A compiled trainer, the network that its script returns with it, and samples to train on."""

    trainer: object
    network: keras.Model
    samples: np.ndarray
    dtype: str  # of a batch, for `EndlessBatches`

    def batch(self, n=8):
        """Return the first batch."""
        return EndlessBatches(self.samples, n, dtype=self.dtype)[0]

    def players(self):
        """Return the list of the compiled `SingleLoss` models."""
        return [self.trainer.critic, self.trainer.generator] if hasattr(self.trainer, "critic") else [self.trainer]


def tiny(name):
    """Return the `Tiny` of a name in `SCRIPTS`, the same in every call but for the precision policy."""
    script, flags = SCRIPTS[name]
    args = script.make_parser().parse_args(["--preset", "smoke", *flags])
    in_plane, is_flow = args.dataset in TOYS, script in FLOWS
    presets = script.PLANE_PRESETS if in_plane else getattr(script, "IMAGE_PRESETS", None) or script.PRESETS
    apply_preset(args, script.make_parser(), presets)
    size = 8 if is_flow else 16
    shape = (2,) if in_plane else (size, size, 1)
    keras.utils.set_random_seed(0)
    trainer, network, *_ = script.build(args, 1 if script is ogan.train else shape)
    rng, shape = np.random.default_rng(0), (*shape[:-1], 2 if script is fgan.estimate else shape[-1])
    if in_plane:
        samples = rng.normal(0, 2, (64, *shape)).astype("float32")
    else:
        samples = rng.integers(0, 256, (64, *shape), dtype=np.uint8)
    return Tiny(trainer, network, samples, "uint8" if is_flow else "float32")


def with_sgd(case, **compile_kwargs):
    """Compile the players of a `Tiny` with SGD, which does not magnify rounding errors, and return it."""
    for player in case.players():
        optimizer = keras.optimizers.SGD(1e-3, global_clipnorm=player.optimizer.global_clipnorm)
        player.compile(optimizer, **compile_kwargs)
    return case
