"""Small models whose heads say something, for the tests of models."""

import dataclasses

import torch

import diffmst_lib as dm


def model(name="tiny", seed=0, **changes):
    """An untrained model whose heads are not neutral, so that it says something about every track."""
    torch.manual_seed(seed)
    made = dm.DiffMST(dataclasses.replace(dm.ModelConfig.preset(name), **changes))
    for head in made.controller.heads.values():
        if isinstance(head, torch.nn.Sequential):
            torch.nn.init.normal_(head[-1].weight, std=0.1)
    return made.eval()


TWIN = {
    "width": 16,
    "layers": 1,
    "heads": 2,
    "feedforward": 16,
    "channels": (4, 8),
    "pools": ((4, 4), (4, 4)),
}
