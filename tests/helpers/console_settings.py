"""Settings of a whole console for tests: random ones, and all knobs at one place."""

import torch

from diffmst_lib import param_table
from diffmst_lib.console.table import SECTIONS


def unit(num_tracks=3, preset="default", batch=(), seed=0, fill=None):
    """The three parts of a console in the unit interval: random, or all knobs at `fill`."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [len(param_table(section, preset)) for section in SECTIONS]
    shapes = [(*batch, num_tracks, sizes[0]), (*batch, sizes[1]), (*batch, sizes[2])]
    return [
        torch.rand(shape, generator=generator) if fill is None else torch.full(shape, fill)
        for shape in shapes
    ]
