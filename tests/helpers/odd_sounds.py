"""Sounds at the edges of what features and losses are given."""

import torch


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


EDGES = {
    "silence": torch.zeros(2, 5000),
    "one sample": torch.ones(2, 1),
    "mono": noise(1, 5000).repeat(2, 1),
    "anti-phase": noise(1, 5000) * torch.tensor([[1.0], [-1.0]]),
    "one silent channel": noise(2, 5000) * torch.tensor([[1.0], [0.0]]),
    "one impulse": torch.nn.functional.one_hot(torch.tensor([7, 7]), 5000).float(),
    "tiny": 1e-30 * noise(2, 5000),
    "full scale": torch.ones(2, 20_000).sign(),
    "anti-phase at full scale": torch.tensor([[1.0], [-1.0]]).repeat(1, 20_000),
    "nearly mono": noise(1, 5000).repeat(2, 1) + 1e-7 * noise(2, 5000, seed=1),
    "nearly anti-phase": noise(1, 5000) * torch.tensor([[1.0], [-1.0]]) + 1e-7 * noise(2, 5000, seed=1),
    "noise at full scale": noise(2, 60_000).sign(),
    "two samples": torch.tensor([[0.5, -0.5], [0.1, 0.2]]),
    "half a window": noise(2, 16_384),
}
