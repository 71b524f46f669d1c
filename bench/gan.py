"""Time a training step of SGAN: one loss for both players in its forms, alternating steps, and PyTorch's plain loop.

    python bench/gan.py                                        (or `make bench`)
    python bench/gan.py --peer .venv-peers/bin/python          (or `make bench PEERS=1`)

All train the same networks of DCGAN on the same number of images, in turn. A step is one update of each player. In
units of one forward pass of a network, one loss with `SplitGradient` costs 9, and 10 if the critic has batch norm. Two
passes of the fakes, as article 6387 wrote it, cost 12, and alternating steps 12. PyTorch's usual loop costs 13. It is
12 if both players share the fakes, and 11 if the generator's step also leaves out the gradients of the critic, which
nothing uses.
"""

from typing import NamedTuple

from common.cli import Parser, apply_preset, main
from common.flag_types import batch_int, file_path

ROUNDS = 7


class Case(NamedTuple):
    """Networks and data that are timed."""

    size: int
    channels: int
    width: int
    kernel_size: int
    batch_norm: bool  # of the critic; the generator always has it
    steps: int  # in a round


CASES = {"32": Case(32, 1, 128, 4, False, 20), "64": Case(64, 3, 512, 5, True, 2)}
BFLOAT16 = ", bfloat16"
PEERS = ("PyTorch, fresh fakes", "PyTorch, shared fakes", "PyTorch, shared fakes, critic frozen")


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), help="sizes in pixels (default all)")
    p.add_argument("--batch-size", type=batch_int, default=64, help="images per step (default 64)")
    p.add_argument("--peer", type=file_path, metavar="PYTHON", help="the Python of an environment with PyTorch")
    return p


def two_passes(flags, shape):
    """Return a compiled trainer with the single loss as 6387 wrote it: two passes of the fakes through the critic.

    Args:
        flags: resolved flags of `rsgan/train.py`.
        shape: (size, size, channels).
    """
    import keras
    from keras import ops

    from common.losses.adversarial import get_loss
    from common.models.layers import Latent
    from common.models.networks import build_critic, build_generator
    from common.training.single_loss import SingleLoss, generator_only

    generator = build_generator(shape, flags.latent_dim, flags.width, flags.kernel_size)
    critic = build_critic(shape, flags.width, flags.kernel_size, batch_norm=flags.batch_norm)
    loss = get_loss("sgan")

    x = keras.Input(shape)
    x_fake = generator(Latent(flags.latent_dim)(x))
    scores = {"real": critic(x), "fake": critic(x_fake), "fake_ng": critic(ops.stop_gradient(x_fake))}

    def both_players(real, fake, fake_ng):
        of_generator = generator_only(lambda score: loss.generator(None, score), fake, fake_ng)
        return {"loss": loss.critic(real, fake_ng) + of_generator}

    model = SingleLoss(x, scores, both_players)
    model.compile(keras.optimizers.Adam(flags.learning_rate, beta_1=0.5))
    return model


def our_jobs(case, batch_size, half):
    """Return dict name -> function that trains `case.steps` steps.

    Args:
        case: `Case`.
        batch_size: int, images per step.
        half: bool, add one loss in bfloat16.
    """
    import keras

    from common.experiments.benchmark import fit_job, random_image_batches
    from rsgan import train

    batches = random_image_batches(case.size, case.channels, batch_size)
    shape = (case.size, case.size, case.channels)

    def flags_of(trainer):
        parser = train.make_parser()
        command = f"--preset quick --loss sgan --trainer {trainer} --size {case.size} --width {case.width}".split()
        command += ["--kernel-size", str(case.kernel_size), "--batch-norm" if case.batch_norm else "--no-batch-norm"]
        return apply_preset(parser.parse_args(command), parser, train.PRESETS, spectral_norm=lambda flags: False)

    jobs = {
        "one loss": fit_job(train.build(flags_of("single"), shape)[0], batches, case.steps),
        "two passes (6387)": fit_job(two_passes(flags_of("single"), shape), batches, case.steps),
        "alternating": fit_job(train.build(flags_of("alternating"), shape)[0], batches, 2 * case.steps),
    }
    if half:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
        jobs["one loss" + BFLOAT16] = fit_job(train.build(flags_of("single"), shape)[0], batches, case.steps)
        keras.mixed_precision.set_global_policy("float32")
    return jobs


def run(args):
    import contextlib

    from common.experiments.benchmark import peer, print_table, time_interleaved
    from common.experiments.setup import has_fast_bfloat16

    half = has_fast_bfloat16()
    peers = PEERS + (PEERS[-1] + BFLOAT16,) * half if args.peer else ()
    for name in args.cases:
        case = CASES[name]
        command = [str(value) for value in (*case, args.batch_size)]
        with contextlib.ExitStack() as stack:
            jobs = our_jobs(case, args.batch_size, half)
            if args.peer:
                jobs |= stack.enter_context(peer(args.peer, "bench/peers/speed/gan.py", command, peers))
            times = time_interleaved(jobs, ROUNDS)
        norm = "batch norm in both" if case.batch_norm else "batch norm in the generator"
        print(
            f"\n{case.size} px, {case.channels} channels, width {case.width}, kernels of {case.kernel_size}, {norm}, "
            f"batch {args.batch_size}:\n"
        )
        print_table(times, {job: "one loss" + BFLOAT16 * job.endswith(BFLOAT16) for job in jobs}, case.steps)


if __name__ == "__main__":
    main(run, make_parser())
