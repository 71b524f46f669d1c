"""Train and sample a Glow made of the layers of nflows (PyTorch), for `flow/bench.py`, which starts this script.

Levels, steps, the nets in the couplings and the loss are those of `flow/glow.py --preset quick`.
"""

import math
import sys

import numpy as np
import torch
from nflows import transforms
from torch import nn

from common.experiments.benchmark import serve


class WithoutContext(nn.Sequential):
    """Layers in turn; nflows calls a net with a context too."""

    def forward(self, x, context=None):
        return super().forward(x)


def make_net(width):
    """Return the function (channels in, channels out) -> Glow's net: conv 3x3 relu, conv 1x1 relu, conv 3x3."""

    def net(inputs, outputs):
        last = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(last.weight)
        first, middle = nn.Conv2d(inputs, width, 3, padding=1), nn.Conv2d(width, width, 1)
        return WithoutContext(first, nn.ReLU(), middle, nn.ReLU(), last)

    return net


def make_flow(size, channels, levels, depth, width):
    """Return the flow from pixels in (0, 1), (batch, channels, size, size), to z (batch, size size channels)."""
    multiscale, shape = transforms.MultiscaleCompositeTransform(levels), (channels, size, size)
    for _ in range(levels):
        squeeze = transforms.SqueezeTransform()
        c, *sides = squeeze.get_output_shape(*shape)
        mask = [-1] * (c // 2) + [1] * (c // 2)
        steps = [
            layer
            for _ in range(depth)
            for layer in (
                transforms.ActNorm(c),
                transforms.OneByOneConvolution(c),
                transforms.AffineCouplingTransform(mask, make_net(width)),
            )
        ]
        shape = multiscale.add_transform(transforms.CompositeTransform([squeeze, *steps]), (c, *sides))
    return transforms.CompositeTransform([transforms.Logit(eps=1e-4), multiscale])


def main():
    size, channels, batch_size, batches, levels, depth, width = map(int, sys.argv[1:])
    flow = make_flow(size, channels, levels, depth, width)
    pixels = np.random.default_rng(0).integers(0, 256, (batches * batch_size, channels, size, size), dtype=np.uint8)
    optimizer = torch.optim.Adam(flow.parameters(), 2e-3)
    parts = np.split(pixels, batches)
    middle = [torch.from_numpy((part + np.float32(0.5)) / 256) for part in parts]
    flow(middle[0])  # the first batch starts Actnorm
    print(f"nflows: {sum(p.numel() for p in flow.parameters()):,} weights")

    def step():
        for part in parts:
            x = (torch.from_numpy(part.astype("float32")) + torch.rand(part.shape)) / 256
            z, log_det = flow(x)
            log_prob = -(z.square().sum(1) + z.shape[1] * math.log(2 * math.pi)) / 2 + log_det
            loss = -log_prob.mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    @torch.no_grad()
    def forward():
        return [flow(part)[0] for part in middle]

    codes = forward()

    @torch.no_grad()
    def inverse():
        return [flow.inverse(z) for z in codes]

    serve({"nflows, forward": forward, "nflows, inverse": inverse, "nflows, step": step})


if __name__ == "__main__":
    main()
