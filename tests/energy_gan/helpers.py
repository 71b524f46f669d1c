"""Flags for the tests of the energy GANs."""

from energy_gan import train


def plane_flags(*flags):
    """Return the flags of `energy_gan/train.py` for the smoke preset on 8 Gaussians."""
    args = train.make_parser().parse_args(["--dataset", "8gaussians", "--preset", "smoke", *flags])
    return train.apply_preset(args, train.make_parser(), train.PLANE_PRESETS)
