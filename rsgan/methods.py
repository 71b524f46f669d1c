"""The methods that article 6110 compares, and what its idea has become: a loss, and what holds the critic.

The losses are rows of `common.losses.adversarial`, the penalties rows of `common.losses.gradient_penalties`. A
method is added here in one line.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One line of the comparison.

    Args:
        loss: name in `common.losses.adversarial`.
        penalty: name in `common.losses.gradient_penalties`, or `None`.
        spectral_norm: bool, of every kernel of the critic (6311).
        clip: float, every weight of the critic stays within +-clip; `None` without.
        steps_per_round: (n_d, n_g), steps of each player in a round of alternating training, as its authors had it.
    """

    loss: str
    penalty: str | None = None
    spectral_norm: bool = False
    clip: float | None = None
    steps_per_round: tuple[int, int] = (1, 1)


METHODS = {
    # SGAN with the three forms of h (6110)
    "sgan": Method("sgan", steps_per_round=(1, 2)),
    "sgan_minimax": Method("sgan_minimax"),
    "sgan_linear": Method("sgan_linear"),
    "sngan": Method("sgan", spectral_norm=True, steps_per_round=(1, 2)),
    "lsgan": Method("lsgan"),
    "hinge": Method("hinge"),
    # four ways to hold WGAN's critic
    "wgan": Method("wgan", clip=0.01, steps_per_round=(5, 1)),  # arXiv 1701.07875
    "wgan_sn": Method("wgan", spectral_norm=True, steps_per_round=(5, 1)),
    "wgan_gp": Method("wgan", "gp", steps_per_round=(5, 1)),
    "wgan_gp_linear": Method("wgan", "gp_linear", steps_per_round=(5, 1)),
    "wgan_div": Method("wgan", "div"),
    # none of these needs a constraint, says GAN-QP
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
    # R3GAN (arXiv 2501.05441) and what it is compared with
    "r3gan": Method("rsgan", "r1_r2"),
    "rsgan_r1": Method("rsgan", "r1"),
    "sgan_r1": Method("sgan", "r1"),
    "sgan_r1_r2": Method("sgan", "r1_r2"),
}
