"""Train a plain DCGAN in PyTorch, as a user would write it, and measure its samples like ours.

    python bench/peers/dcgan.py --dataset mnist --seconds 180 --seed 0

The loop is DCGAN's (arXiv 1511.06434): non-saturating loss, N(0, .02), batch norm in both networks, Adam at 2e-4 with
beta_1 = .5, one step of the critic and one of the generator in turn. Only the steps count as seconds.
"""

import argparse
import os
import time

os.environ["KERAS_BACKEND"] = "torch"  # of the classifier that measures the samples

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from common.data.images import load_images, to_float, to_uint8
from common.metrics.features import extractor, sample_quality

LATENT_DIM, BATCH_SIZE, SIZE, WIDTHS = 100, 64, 32, (32, 64, 128)


def make_critic(channels):
    layers, inputs = [], channels
    for i, width in enumerate(WIDTHS):
        layers.append(nn.Conv2d(inputs, width, 4, 2, 1, bias=i == 0))
        if i > 0:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.LeakyReLU(0.2))
        inputs = width
    return nn.Sequential(*layers, nn.Conv2d(inputs, 1, 4))


def make_generator(channels):
    layers = [nn.ConvTranspose2d(LATENT_DIM, WIDTHS[-1], 4, bias=False), nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU()]
    inputs = WIDTHS[-1]
    for width in reversed(WIDTHS[:-1]):
        layers += [nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.ConvTranspose2d(inputs, channels, 4, 2, 1), nn.Tanh())


def start_as_dcgan(module):
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def train(images, seconds, seed):
    """Train for a number of seconds and return (generator, rounds)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    channels = images.shape[-1]
    critic, generator = make_critic(channels), make_generator(channels)
    for network in (critic, generator):
        network.apply(start_as_dcgan)
        network.to(memory_format=torch.channels_last)
    adam = lambda network: torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
    critic_optimizer, generator_optimizer = adam(critic), adam(generator)
    rounds, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        batch = to_float(images[rng.integers(len(images), size=BATCH_SIZE)])
        real = torch.from_numpy(batch.transpose(0, 3, 1, 2)).contiguous(memory_format=torch.channels_last)
        fake = generator(torch.randn(BATCH_SIZE, LATENT_DIM, 1, 1))

        critic_loss = softplus(-critic(real)).mean() + softplus(critic(fake.detach())).mean()
        critic_optimizer.zero_grad()
        critic_loss.backward()
        critic_optimizer.step()

        generator_loss = softplus(-critic(fake)).mean()
        generator_optimizer.zero_grad()
        generator_loss.backward()
        generator_optimizer.step()
        rounds += 1
        if rounds % 500 == 0:
            print(f"round {rounds}, {time.perf_counter() - start:.0f} s", flush=True)
    return generator.eval(), rounds


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dataset", default="mnist", help="mnist, fashion_mnist or cifar10 (default mnist)")
    p.add_argument("--data-dir", help="folder of the data, as in the scripts of the articles")
    p.add_argument("--seconds", type=float, default=180, help="length of the training (default 180)")
    p.add_argument("--seed", type=int, default=0, help="default 0")
    args = p.parse_args()

    training = load_images(args.dataset, SIZE, "train", args.data_dir).array
    held_out = np.asarray(load_images(args.dataset, SIZE, "test", args.data_dir).array)
    extract = extractor("classifier", args.dataset, SIZE, training, args.data_dir)
    generator, rounds = train(training, args.seconds, args.seed)
    with torch.no_grad():
        parts = [generator(torch.randn(500, LATENT_DIM, 1, 1)).permute(0, 2, 3, 1).numpy() for _ in range(20)]
    quality = sample_quality(to_uint8(np.concatenate(parts)), training, held_out, extract)
    print("| data | GAN | seed | rounds | seconds | FID | precision | recall |\n|---|---|---|---|---|---|---|---|")
    numbers = " | ".join(f"{quality[name]:.3g}" for name in ("fid", "precision", "recall"))
    print(f"| {args.dataset} | PyTorch DCGAN | {args.seed} | {rounds} | {args.seconds:g} | {numbers} |")


if __name__ == "__main__":
    main()
