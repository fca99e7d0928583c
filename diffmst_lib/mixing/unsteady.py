"""Knobs that a network sets differently from window to window: their mean is the choice of no window.

Chapter: The controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..console.equalizer import response_db
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..console.specs import ParamSpec
from ..console.table import EQ_BANDS
from .parts import Lock

UNSTEADY_DB = 3.0  # a move of an engineer
HZ = tuple(1000.0 * 2.0 ** (third / 3) for third in range(-15, 13))  # thirds of octaves, 31 Hz to 16 kHz
ROUNDS = 10  # in which the level that all stems share in a window is found
# Levels before and after a strip are held elsewhere, the reverb is off, and a knee is no level.
_SKIPPED = {
    "input_gain_db",
    "output_gain_db",
    "send_db",
    "knee_db",
    *(f"{band}_gain_db" for band in EQ_BANDS),
}


@dataclass(frozen=True)
class Unsteady:
    """How far a knob is from its mean, from window to window.

    Attributes:
        where: The strip, or "master_bus".
        knob: Its name. For an equalizer, the gain of the band that differs most.
        aspect: What the knob changes, one of ASPECTS.
        deviation_db: The standard deviation over the windows, weighted by energy, in dB, 0 or more.
        frequency_hz: Where an equalizer differs so much, in Hz; None for other knobs.
    """

    where: str
    knob: str
    aspect: str
    deviation_db: float
    frequency_hz: float | None = None


def unsteady_knobs(consoles: ConsoleParams, energy: torch.Tensor) -> list[Unsteady]:
    """Measure how much the consoles of a song's windows differ, in dB, as far as it can be heard.

    A fader counts against the other faders of its window, since the level before the master bus is held. Of an
    equalizer the response counts, and of a threshold what it takes off: (1 - 1 / ratio) of its change.

    Args:
        consoles: A console for each of W windows.
        energy: The energy of each strip's track in each window, (W, N): windows in which it is silent do not
            count.

    Returns:
        All knobs in dB and all equalizers, the most unsteady first.

    Example:
        >>> from diffmst_lib.console.table import knob_index
        >>> consoles = ConsoleParams.from_unit(torch.full((2, 1, 29), 0.5), torch.full((2, 25), 0.5),
        ...                                    torch.full((2, 26), 0.5), names=["kick"])
        >>> consoles.tracks[:, 0, knob_index("makeup_gain_db")] = torch.tensor([0.0, 10.0])
        >>> unsteady_knobs(consoles, torch.ones(2, 1))[0]
        Unsteady(where='kick', knob='makeup_gain_db', aspect='dynamics', deviation_db=5.0, frequency_hz=None)
    """
    share = energy / energy.sum(dim=0)  # (W, N)
    strips, master = consoles.values("track"), consoles.values("master_bus")
    if "fader_db" in strips:
        strips["fader_db"] = _against_each_other(strips["fader_db"], energy)
    buses = {name: value[:, None] for name, value in master.items()}
    rate = consoles.sample_rate
    found = [
        *_of_section(consoles.names, consoles.specs("track"), strips, share, rate),
        *_of_section(
            ["master_bus"], consoles.specs("master_bus"), buses, share.mean(dim=1, keepdim=True), rate
        ),
    ]
    return sorted(found, key=lambda one: -one.deviation_db)


def _against_each_other(faders: torch.Tensor, energy: torch.Tensor) -> torch.Tensor:
    """Take out of faders (W, N) what all of a window have in common, as far as they sound there."""
    shift = faders.new_zeros(len(faders), 1)
    for _ in range(ROUNDS):
        mean = (energy * (faders - shift)).sum(dim=0) / energy.sum(dim=0)
        shift = (energy * (faders - mean)).sum(dim=1, keepdim=True) / energy.sum(dim=1, keepdim=True)
    return faders - shift


def _deviation(values: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Compute the weighted standard deviation over windows, (N, ...), of values (W, N, ...)."""
    share = share.view(*share.shape, *[1] * (values.ndim - 2))
    mean = (share * values).sum(dim=0)
    return (share * (values - mean).square()).sum(dim=0).sqrt()


def _of_section(
    names: Sequence[str],
    specs: Sequence[ParamSpec],
    values: Mapping[str, torch.Tensor],
    share: torch.Tensor,
    sample_rate: int,
) -> Iterator[Unsteady]:
    """Measure the knobs (W, N) of N strips, or of one bus."""
    for spec in specs:
        if spec.unit == "dB" and spec.name not in _SKIPPED:
            deviation = _deviation(values[spec.name], share)
            if spec.name == "threshold_db":
                deviation = deviation * (share * (1.0 - 1.0 / values["ratio"])).sum(dim=0)
            for name, one in zip(names, deviation.tolist(), strict=True):
                yield Unsteady(name, spec.name, spec.aspect, one)
    settings = equalizer_settings(dict(values))  # (W, N, 6) each
    hz = share.new_tensor(HZ).clamp(max=0.49 * sample_rate)
    rows = {name: value.flatten(0, 1) for name, value in settings.items()}
    response = response_db(hz, sample_rate=sample_rate, **rows).view(*share.shape, len(HZ))
    most = _deviation(response, share).max(dim=-1)
    bands = _deviation(settings["gain_db"], share).argmax(dim=-1)
    for name, one, at, band in zip(
        names, most.values.tolist(), most.indices.tolist(), bands.tolist(), strict=True
    ):
        yield Unsteady(name, f"{EQ_BANDS[band]}_gain_db", "tone", one, HZ[at])


def still_unsteady(
    knobs: Sequence[Unsteady], names: Sequence[str], lock: Sequence[Lock], shares: Mapping[str, float]
) -> list[Unsteady]:
    """Keep what is heard in the mix: of locked knobs nothing, of the others a share, by aspect."""
    locked = {(names[row] if isinstance(row, int) else row, knob) for row, knob in lock}
    heard = [
        replace(one, deviation_db=shares[one.aspect] * one.deviation_db)
        for one in knobs
        if not locked & {(one.where, None), (one.where, one.knob)}
    ]
    return sorted((one for one in heard if one.deviation_db > UNSTEADY_DB), key=lambda one: -one.deviation_db)
