"""What only the weights of the first edition need: mono channels with sides, and their mirror images.

There a stereo stem was two tracks, panned to their sides, and the network treated left and right alike.

Chapter: The controller.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

SIDE_LOGIT = 1.5  # of the pan of a right channel, 0.82; that of a left one is 0.18


def channel_pans(names: Sequence[str], audio: torch.Tensor) -> list[float]:
    """Place channels where the first edition started: those of stereo stems at their sides.

    Two or more mono stems alternate in the alphabetical order of their names: half of the way to the sides
    when stereo stems sound as well, otherwise all the way.

    Args:
        names: Names of the channels, "x.L" and "x.R" for a stereo stem x.
        audio: Channels (M, num_samples).

    Returns:
        A pan for each channel, 0 to 1.

    Example:
        >>> [round(pan, 2) for pan in channel_pans(["kick", "pad.L", "pad.R"], torch.ones(3, 8))]
        [0.5, 0.18, 0.82]
    """
    ends = {".L": -1.0, ".R": 1.0}
    sides = [ends.get(name[-2:], 0.0) for name in names]
    mono = sorted(name for name, side in zip(names, sides, strict=True) if not side)
    if len(mono) > 1:
        stereo = any(side and bool(track.any()) for side, track in zip(sides, audio, strict=True))
        away, left = 0.5 if stereo else 1.0, set(mono[::2])
        pairs = zip(names, sides, strict=True)
        sides = [side or (-away if name in left else away) for name, side in pairs]
    return [1.0 / (1.0 + math.exp(-SIDE_LOGIT * side)) for side in sides]


def mirror_average(
    logits: tuple[torch.Tensor, ...], mirrored: tuple[torch.Tensor, ...], pan: int
) -> tuple[torch.Tensor, ...]:
    """Average a console's logits with those for the mirror image of song and reference, mirrored back.

    To mirror a console turns every pan p to 1 - p, which changes the sign of its logit, and no other knob.

    Args:
        logits: Logits of the three sections, the strips first.
        mirrored: The same for the mirror image.
        pan: Column of the pan in the strips.

    Returns:
        The means, in the same shapes.
    """
    back = mirrored[0].clone()
    back[..., pan] = -back[..., pan]
    return tuple((a + b) / 2 for a, b in zip(logits, (back, *mirrored[1:]), strict=True))
