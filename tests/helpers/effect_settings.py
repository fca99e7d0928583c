"""What the tests of the effects share: noise, settings over the whole range of the table, a plain loop."""

import torch

from diffmst_lib.console.table import param_table

RATE = 44100
EQ = [s for s in param_table("track") if s.effect == "eq"]
DYNAMICS = {
    "threshold_db": -30.0,
    "ratio": 4.0,
    "attack_ms": 5.0,
    "release_ms": 50.0,
    "knee_db": 6.0,
    "makeup_gain_db": 0.0,
}


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def eq_settings(unit):
    """Unit values (B, 6, 3) to the equalizer's settings over the whole range of the table."""
    out = []
    for i in range(3):
        low = torch.tensor([s.low for s in EQ[i::3]])
        high = torch.tensor([s.high for s in EQ[i::3]])
        out.append(low + unit[..., i] * (high - low) if i == 0 else low * (high / low) ** unit[..., i])
    return dict(zip(("gain_db", "frequency_hz", "q"), out, strict=True))


def smooth_loop(x, attack, release):
    """`engines.ballistics.smooth` as a plain loop over one row of numbers."""
    y, state = [], 0.0
    for value in x:
        pole = attack if value < state else release
        state = pole * state + (1 - pole) * value
        y.append(state)
    return y
