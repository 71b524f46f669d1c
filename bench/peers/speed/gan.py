"""Train steps of SGAN in PyTorch, as a user would write them, for `bench/gan.py`, which starts this script.

The networks are those of `common/models/networks.py`, in memory format channels last; the loop is DCGAN's, in eager
mode. As users write it, the generator's step computes gradients of the critic too, which nothing uses; "critic frozen"
does not.
"""

import sys

import numpy as np
import torch
from torch import nn
from torch.nn.functional import softplus

from common.experiments.benchmark import serve

LATENT_DIM = 100


def make_critic(channels, widths, kernel, batch_norm):
    layers, inputs = [], channels
    for i, width in enumerate(widths):
        layers.append(nn.Conv2d(inputs, width, kernel, 2, (kernel - 1) // 2))
        if i > 0 and batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.LeakyReLU(0.2))
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(4 * 4 * inputs, 1))


def make_generator(channels, widths, kernel):
    *widths, last = widths
    units = 4 * 4 * last
    layers = [nn.Linear(LATENT_DIM, units), nn.BatchNorm1d(units), nn.ReLU(), nn.Unflatten(1, (last, 4, 4))]
    inputs = last
    expand = lambda inputs, outputs: nn.ConvTranspose2d(inputs, outputs, kernel, 2, (kernel - 1) // 2, kernel % 2)
    for width in reversed(widths):
        layers += [expand(inputs, width), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, expand(inputs, channels), nn.Tanh())


def main():
    size, channels, width, kernel, batch_norm, steps, batch_size = sys.argv[1:]
    size, channels, width, kernel, steps, batch_size = map(int, (size, channels, width, kernel, steps, batch_size))
    widths = [width // 2**i for i in reversed(range(size.bit_length() - 3))]
    pixels = np.random.default_rng(0).integers(0, 256, (4 * batch_size, size, size, channels), dtype=np.uint8)

    def trainer(shared, half=False, frozen=False):
        critic = make_critic(channels, widths, kernel, batch_norm == "True")
        generator = make_generator(channels, widths, kernel)
        for network in (critic, generator):
            network.to(memory_format=torch.channels_last)
        adam = lambda network: torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999))
        critic_optimizer, generator_optimizer = adam(critic), adam(generator)
        autocast = lambda: torch.autocast("cpu", torch.bfloat16, enabled=half)

        def step(i):
            batch = pixels[i % 4 * batch_size :][:batch_size].astype("float32") / 127.5 - 1
            real = torch.from_numpy(batch).permute(0, 3, 1, 2)  # in channels last
            with autocast():
                fake = generator(torch.randn(batch_size, LATENT_DIM))
                scores = critic(real).float(), critic(fake.detach()).float()
            critic_loss = softplus(-scores[0]).mean() + softplus(scores[1]).mean()
            critic_optimizer.zero_grad()
            critic_loss.backward()
            critic_optimizer.step()

            with autocast():
                if not shared:
                    fake = generator(torch.randn(batch_size, LATENT_DIM))
                score = critic(fake).float()
            generator_loss = softplus(-score).mean()
            generator_optimizer.zero_grad()
            generator_loss.backward(inputs=list(generator.parameters()) if frozen else None)
            generator_optimizer.step()

        return lambda: [step(i) for i in range(steps)]

    serve(
        {
            "PyTorch, fresh fakes": trainer(shared=False),
            "PyTorch, shared fakes": trainer(shared=True),
            "PyTorch, shared fakes, critic frozen": trainer(shared=True, frozen=True),
            "PyTorch, shared fakes, critic frozen, bfloat16": trainer(shared=True, half=True, frozen=True),
        }
    )


if __name__ == "__main__":
    main()
