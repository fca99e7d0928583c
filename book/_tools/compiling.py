"""Compile the library's loops, which numba then keeps on disk: it takes seconds, once on a machine."""

import torch

import diffmst_lib as dm
from diffmst_lib.console.engines.ballistics import smooth


def compile_loops() -> None:
    """Run every compiled loop once, forward and backward."""
    params = dm.ConsoleParams.neutral(["a", "b"])
    logits = [logit.requires_grad_() for logit in params.to_logits()]
    mix = dm.MixingConsole()(0.1 * torch.randn(2, 2, 4410), dm.ConsoleParams.from_logits(*logits)).mix
    dm.loudness(mix)
    gains_db = -torch.rand(1, 100, requires_grad=True)
    (mix.square().mean() + smooth(gains_db, torch.tensor([0.5]), torch.tensor([0.9])).sum()).backward()
