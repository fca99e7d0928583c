"""Consoles at random, whose mixes are the references of Method 1. Chapter: Method 1."""

from __future__ import annotations

import numpy as np
import torch

from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.table import SECTIONS, ParamSpec, normalize, param_table
from .recipes import GAIN_DB

RANDOM_MOVES = 3.0  # how far the other knobs of a random console are from where they do nothing
LEVELS = ("input_gain_db", "makeup_gain_db", "send_db", "output_gain_db")  # knobs that stand still in it


def random_params(
    num_tracks: int,
    rng: np.random.Generator,
    *,
    gain_db: float = GAIN_DB,
    output_gain_db: float = 0.0,
    preset: str = "default",
    sample_rate: int = 44100,
) -> ConsoleParams:
    """Draw a console at random, every knob uniform between two ends and for itself.

    In "reference" the ends are those of its range, as in the paper. In "default" they are three moves of an
    engineer (`ParamSpec.step`) to both sides of where the knob does nothing: 6 dB of an equalizer's band, an
    octave of its frequency, 9 dB of a threshold, a ratio up to 3.4, three quarters of the width. Its ranges
    are those of a desk, and over all of them (a threshold of -60 dB, a ratio of 20) no mix would be one that
    anybody hands in. Trims, make-up gains and sends stand still there, so that the faders make the balance.

    The faders (the input gains of "reference") are uniform within +-`gain_db`; a fader ends at 12 dB. At 0,
    as in the released code, a random mix teaches nothing about balance. The levels of the master stand still,
    because a mix is normalized anyway. The sends of "reference" are random too, so render with
    `fx_bus=False`.

    Args:
        num_tracks: Number of strips.
        rng: Source of all random choices.
        gain_db: How far the faders of the tracks move, 0 to 48 dB.
        output_gain_db: How far the output gain of the master moves, 0 to 48 dB.
        preset: The console's preset.
        sample_rate: Sample rate in Hz.

    Returns:
        The console.

    Example:
        >>> params = random_params(3, np.random.default_rng(0))
        >>> len(params.tracks), bool((params.values("track")["fader_db"].abs() <= 12).all())
        (3, True)
    """
    ends = _moderate_ends if takes_stems(preset) else _paper_ends
    reach = {"track": gain_db, "fx_bus": 0.0, "master_bus": output_gain_db}
    unit = []
    for section, rows in zip(SECTIONS, ((num_tracks,), (), ()), strict=True):
        specs = param_table(section, preset, sample_rate)
        low, high = ends(specs, section, reach[section])
        drawn = low + (high - low) * rng.random((*rows, len(specs)))
        unit.append(torch.tensor(drawn, dtype=torch.float32))
    return ConsoleParams.from_unit(*unit, preset=preset, sample_rate=sample_rate)


def _moderate_ends(specs: tuple[ParamSpec, ...], section: str, gain_db: float) -> np.ndarray:
    """Compute the ends (2, knobs) of the knobs of stems, in the unit interval."""
    neutral = torch.tensor([[spec.neutral for spec in specs]], dtype=torch.float64)
    middle = normalize(neutral, specs)[0].numpy()
    reach = np.array([0.0 if spec.name in LEVELS else RANDOM_MOVES / spec.moves for spec in specs])
    ends = np.stack([middle - reach, middle + reach]).clip(0.0, 1.0)
    return _within(ends, specs, ("fader_db", "output_gain_db"), gain_db)


def _paper_ends(specs: tuple[ParamSpec, ...], section: str, gain_db: float) -> np.ndarray:
    """Compute the ends (2, knobs) of the knobs of mono channels, in the unit interval."""
    ends = np.stack([np.zeros(len(specs)), np.ones(len(specs))])
    if section == "master_bus":
        ends = _within(ends, specs, ("input_gain_db",), 0.0)
        return _within(ends, specs, ("output_gain_db",), gain_db)
    return _within(ends, specs, ("input_gain_db",), gain_db)


def _within(
    ends: np.ndarray, specs: tuple[ParamSpec, ...], names: tuple[str, ...], gain_db: float
) -> np.ndarray:
    """Set the ends of some knobs to +-`gain_db`, or to the ends of their ranges."""
    for i, spec in enumerate(specs):
        if spec.name in names:
            ends_db = torch.tensor([[-gain_db], [gain_db]], dtype=torch.float64)
            ends[:, i] = normalize(ends_db, (spec,)).flatten()
    return ends
