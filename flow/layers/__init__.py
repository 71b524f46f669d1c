"""Invertible layers, the networks inside couplings, and the likelihood of a flow.

Importing this package registers all layers with Keras. `common.models.load` does so by itself.
"""

from flow.layers.actnorm import Actnorm, ConditionalActnorm, Scale
from flow.layers.base import InvertibleLayer
from flow.layers.composite import Chain, MultiScale
from flow.layers.coupling import AdditiveCoupling, AffineCoupling
from flow.layers.gaussianization import MarginalGaussianization
from flow.layers.linear import ExpRankOneLinear, InvertibleLinear
from flow.layers.permutations import Reverse, Shuffle
from flow.layers.preprocessing import Flatten, Logit, Rescale, Squeeze
from flow.layers.spline import SplineCoupling

__all__ = [
    "Actnorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Chain",
    "ConditionalActnorm",
    "ExpRankOneLinear",
    "Flatten",
    "InvertibleLayer",
    "InvertibleLinear",
    "Logit",
    "MarginalGaussianization",
    "MultiScale",
    "Rescale",
    "Reverse",
    "Scale",
    "Shuffle",
    "SplineCoupling",
    "Squeeze",
]
