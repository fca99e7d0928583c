"""The consoles of the first edition, whose strips took mono channels, as consoles of stems.

There a stereo stem had two strips, "name.L" and "name.R", with the released pan law, and the master had an
input gain. Files of versions 1 and 2 hold such consoles.

Chapter: The console.
"""

from __future__ import annotations

import math

import torch

from ..inputs import FIRST_EDITION
from .gain_and_pan import released_pan_law
from .table import denormalize, knob_index, normalize, param_table

# Version 1 of the files had other names for the equalizer's knobs: {name now: name in version 1}.
_BANDS_1 = {
    "low_shelf": "low_shelf",
    "peak_1": "band0",
    "peak_2": "band1",
    "peak_3": "band2",
    "peak_4": "band3",
    "high_shelf": "high_shelf",
}
VERSION_1_NAMES = {
    f"{band}_{key}": f"{band_1}_{key.replace('frequency', 'cutoff')}"
    for band, band_1 in _BANDS_1.items()
    for key in ("gain_db", "frequency_hz", "q")
}


def channels_to_stems(
    names: list[str], tracks: torch.Tensor, master_bus: torch.Tensor, *, sample_rate: int
) -> tuple[list[str], torch.Tensor, torch.Tensor]:
    """Make strips of stems from strips of mono channels.

    The strip of a stereo stem is the mean of its two, on the scale of each knob. A pair of pans is a width and
    a pan: with the gains a of a channel to its own side and b to the other, mid a + b and side a - b, so a
    pair panned hard apart is width 1 and pan 0.5. The fader makes up for the released law's level, and the
    master's input gain, which is gone, goes into all faders.

    Args:
        names: The names of the channels, "x.L" and "x.R" for a stereo stem x.
        tracks: (M, 27), physical values of the first edition.
        master_bus: (26,), likewise.
        sample_rate: Hz.

    Returns:
        Names of stems, their strips (N, 29) and the master bus (26,), in the table of "default". Values outside
        its ranges are moved to their ends.

    Example:
        >>> old = torch.tensor([[s.neutral for s in param_table("track", "channels")]] * 2)
        >>> old[:, -2] = torch.tensor([0.0, 1.0])                          # hard left, hard right
        >>> master = torch.tensor([s.neutral for s in param_table("master_bus", "channels")])
        >>> names, strips, _ = channels_to_stems(["pad.L", "pad.R"], old, master, sample_rate=44100)
        >>> names, strips[0, -4:].tolist()                                 # width, pan, fader, send
        (['pad'], [1.0, 0.5, 0.0, -60.0])
    """
    stems: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        stem = name[:-2]
        pair = name[-2:] in (".L", ".R") and {f"{stem}.L", f"{stem}.R"} <= set(names) and stem not in names
        stems.setdefault(stem if pair else name, []).append(row)
    old = param_table("track", FIRST_EDITION, sample_rate)
    unit = normalize(tracks, old)
    master = _rename(master_bus[None], "master_bus", sample_rate, {"width": 1.0})[0]
    before_db = _column(master_bus, "input_gain_db", "master_bus").item()
    rows_of_stems = []
    for rows in stems.values():
        mean = denormalize(unit[rows].mean(dim=0), old)
        pans = _column(tracks[rows], "pan", "track")
        width, pan, level_db = _image(pans)
        image = {"width": width, "pan": pan, "fader_db": level_db + before_db}
        rows_of_stems.append(_rename(mean[None], "track", sample_rate, image)[0])
    strips = torch.stack(rows_of_stems)
    fader = knob_index("fader_db")
    # The mix is brought to one level anyway, so the balance matters and not how loud it is.
    strips[:, fader] -= max(0.0, strips[:, fader].max().item() - param_table("track")[fader].high)
    return list(stems), _clip(strips, "track", sample_rate), _clip(master[None], "master_bus", sample_rate)[0]


def _image(pans: torch.Tensor) -> tuple[float, float, float]:
    """Compute width, pan and level in dB of one or two channels (left, right) at the pans of the old law."""
    gains = released_pan_law(pans.double())  # (1 or 2, 2)
    if len(pans) == 1:
        left, right = gains[0].tolist()
        return 1.0, math.atan2(right, left) / (math.pi / 2), _db(math.hypot(left, right) / math.sqrt(2.0))
    mid_gain = gains.sum().item() / 2  # of a sound that is equal in both channels
    side_gain = (gains[0, 0] - gains[1, 0] - gains[0, 1] + gains[1, 1]).item() / 2
    width = abs(side_gain) / mid_gain  # swapped sides have no place on the new strip
    return width, pans.mean().item(), _db(mid_gain)


def _db(gain: float) -> float:
    return 20.0 * math.log10(max(gain, 1e-6))


def _column(rows: torch.Tensor, name: str, section: str) -> torch.Tensor:
    return rows[..., knob_index(name, section, FIRST_EDITION)]


def _rename(rows: torch.Tensor, section: str, sample_rate: int, other: dict[str, float]) -> torch.Tensor:
    """Put the columns of the old table into the order of the new one; `other` has the values of new knobs."""
    old = {s.name: i for i, s in enumerate(param_table(section, FIRST_EDITION, sample_rate))}
    columns = [
        torch.full_like(rows[:, 0], other[spec.name]) if spec.name in other else rows[:, old[spec.name]]
        for spec in param_table(section, "default", sample_rate)
    ]
    return torch.stack(columns, dim=-1)


def _clip(rows: torch.Tensor, section: str, sample_rate: int) -> torch.Tensor:
    specs = param_table(section, "default", sample_rate)
    low, high = (
        torch.tensor([getattr(s, end) for s in specs], dtype=rows.dtype, device=rows.device)
        for end in ("low", "high")
    )
    return torch.minimum(torch.maximum(rows, low), high)
