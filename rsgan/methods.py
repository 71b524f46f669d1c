"""The table of methods that article 6110 compares and that followed it: a loss, and what constrains the critic.

A new method is one line of `METHODS`. Its loss and penalty are names in `common.losses.adversarial` and
`common.losses.gradient_penalties`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """A GAN loss with its constraint on the critic.

    Args:
        loss: str, name in `common.losses.adversarial`.
        penalty: str, name in `common.losses.gradient_penalties`, or `None`. One on gradients takes the batch norm off
            the critic.
        spectral_norm: bool, divide every kernel of the critic by its spectral norm (6311).
        clip: float, keep every weight of the critic within [-clip, clip]; `None` for no clipping.
        consistency: float, weight of the consistency term between two passes of the reals through a critic with
            dropout; `None` for neither.
        steps_per_round: (n_d, n_g), the authors' numbers of critic and generator steps in a round of alternating
            training.
    """

    loss: str
    penalty: str | None = None
    spectral_norm: bool = False
    clip: float | None = None
    consistency: float | None = None
    steps_per_round: tuple[int, int] = (1, 1)


METHODS = {
    # SGAN with the three forms of h (6110)
    "sgan": Method("sgan", steps_per_round=(1, 2)),
    "sgan_minimax": Method("sgan_minimax"),
    "sgan_linear": Method("sgan_linear"),
    "sngan": Method("sgan", spectral_norm=True, steps_per_round=(1, 2)),
    "lsgan": Method("lsgan"),
    "hinge": Method("hinge"),
    # WGAN with four constraints on the critic: clipped weights, spectral norm, WGAN-GP's penalty in two forms, WGAN-div
    "wgan": Method("wgan", clip=0.01, steps_per_round=(5, 1)),  # arXiv 1701.07875
    "wgan_sn": Method("wgan", spectral_norm=True, steps_per_round=(5, 1)),
    "wgan_gp": Method("wgan", "gp", steps_per_round=(5, 1)),
    "wgan_gp_linear": Method("wgan", "gp_linear", steps_per_round=(5, 1)),
    "ct_gan": Method("wgan", "gp", consistency=2.0, steps_per_round=(5, 1)),  # arXiv 1803.01541
    "wgan_div": Method("wgan", "div"),
    # needs no constraint (arXiv 1811.07296)
    "gan_qp": Method("gan_qp", steps_per_round=(2, 1)),
    "gan_qp_l2": Method("gan_qp_l2", steps_per_round=(2, 1)),
    # relativistic
    "rsgan": Method("rsgan"),
    "rsgan_minimax": Method("rsgan_minimax"),
    "rsgan_linear": Method("rsgan_linear"),
    "rsgan_sn": Method("rsgan", spectral_norm=True, steps_per_round=(1, 2)),  # the article's script
    "rsgan_gp": Method("rsgan", "gp"),
    "rasgan": Method("rasgan"),
    "ralsgan": Method("ralsgan"),
    "rahinge": Method("rahinge"),
    "tsgan": Method("tsgan", spectral_norm=True, steps_per_round=(1, 2)),
    "twgan": Method("twgan", spectral_norm=True, steps_per_round=(1, 2)),
    # R3GAN (arXiv 2501.05441) and its baselines
    "r3gan": Method("rsgan", "r1_r2"),
    "rsgan_r1": Method("rsgan", "r1"),
    "sgan_r1": Method("sgan", "r1"),
    "sgan_r1_r2": Method("sgan", "r1_r2"),
    # other penalties on the critic of SGAN
    "dragan": Method("sgan", "dragan"),  # arXiv 1705.07215
    "sgan_roth": Method("sgan", "roth"),  # arXiv 1705.09367, in its form for SGAN
    "sgan_lecam": Method("sgan", "lecam"),  # arXiv 2104.03310
}
