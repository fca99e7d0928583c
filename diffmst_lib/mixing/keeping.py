"""What a fit keeps of the song: the pull towards the start, and the limit on leaning.

Distances are counted in moves (`ParamSpec.step`): 3 dB of a fader, a fifth of a pan, a third of an octave. The
loss hears only the sum of the stems, so what it cannot hear has to be held by something else.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from ..console.compressor import gain_computer
from ..console.equalizer import analog_prototypes
from ..console.gain_and_pan import pan_law, width_matrix
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.table import EQ_BANDS, SECTIONS, knob_index, param_table
from .parts import Lock, hold

KEEP = 1.0  # the default pull
STRIP_WEIGHT = 0.001  # loss for one move of one knob on every strip
COMMON_WEIGHT = 0.02  # the same, for what all strips share: that belongs to the master
MASTER_WEIGHT = 0.00003
GUARD_WEIGHT = 0.01
LEAN_LIMIT_DB = 2.5  # in the window that is fitted, so that it stays below 3 dB in the song
LEAN_FREE_DB = 1.0
LEAN_FLOOR = 1e-4  # a channel 40 dB under the other counts as that
HALVINGS = 6
REDUCTION_FREE_DB = 2.5, 6.0  # of the master's compressor: in the mean, and in the loudest twentieth
ENVELOPE_S = 0.05
OCTAVE_FREE_DB = 8.0  # mean strip and master together
OCTAVES_HZ = tuple(31.25 * 2.0**k for k in range(10))


class Pull:
    """The pull of a fit towards its start. Called with logits, it gives a loss that is 0 at the start.

    Args:
        start: The logits of the start: strips (N, knobs), effects bus, master bus.
        stems: The stems that are fitted, (N, 2, T), or channels (N, T).
        preset: The console's preset.
        sample_rate: Hz.
    """

    def __init__(self, start: Sequence[torch.Tensor], stems: torch.Tensor, *, preset: str, sample_rate: int):
        self.unit = [torch.sigmoid(z.detach()) for z in start]
        self.preset, self.sample_rate = preset, sample_rate
        self.moves = {
            section: torch.tensor([spec.moves for spec in param_table(section, preset, sample_rate)])
            for section in SECTIONS
        }
        energy = stems.detach().double().square().flatten(1).sum(dim=-1)
        self.share = (energy / energy.sum().clamp(min=1e-30)).float()
        self.sounding = energy > 0
        self.image = _image_powers(stems) if preset == "default" else None  # channels have no width

    def __call__(
        self, logits: Sequence[torch.Tensor], params: ConsoleParams, bus: torch.Tensor
    ) -> torch.Tensor:
        """Compute the pull of a console, given its logits and what enters its master bus, (2, T)."""
        strips, _, master = (
            (torch.sigmoid(z) - u) * self.moves[section]
            for z, u, section in zip(logits, self.unit, SECTIONS, strict=True)
        )
        strips = strips[self.sounding]
        total = STRIP_WEIGHT * strips.square().sum(dim=-1).mean()
        total = total + COMMON_WEIGHT * strips.mean(dim=0).square().sum()
        total = total + MASTER_WEIGHT * master.square().sum()
        if self.image is None:
            return total
        knobs = params.values("track")
        lean = lean_change_db(self.image, knobs["width"], knobs["pan"])[self.sounding]
        guards = (lean.abs() - LEAN_FREE_DB).clamp(min=0).square().mean()
        octaves = self.octaves_db(params)
        guards = guards + (octaves.abs() - OCTAVE_FREE_DB).clamp(min=0).square().mean()
        mean, most = bus_reduction_db(bus, params, self.sample_rate)
        guards = guards + (mean - REDUCTION_FREE_DB[0]).clamp(min=0).square()
        guards = guards + (most - REDUCTION_FREE_DB[1]).clamp(min=0).square()
        return total + GUARD_WEIGHT * guards

    def octaves_db(self, params: ConsoleParams) -> torch.Tensor:
        """Compute the mean strip's equalizer and the master's together, at ten octaves, in dB."""
        strips = equalizer_db(params.values("track"), OCTAVES_HZ, self.sample_rate)
        master = equalizer_db(
            {k: v[None] for k, v in params.values("master_bus").items()}, OCTAVES_HZ, self.sample_rate
        )
        return strips[self.sounding].mean(dim=0) + master[0]


def _image_powers(stems: torch.Tensor) -> torch.Tensor:
    """Measure the powers of left and right and their product, (N, 3), of stems (N, 2, T)."""
    left, right = stems.detach().double().unbind(dim=1)
    powers = torch.stack([left.square().mean(-1), right.square().mean(-1), (left * right).mean(-1)], dim=-1)
    return (powers / powers[:, :2].sum(dim=-1, keepdim=True).clamp(min=1e-30)).float()


def lean_change_db(image: torch.Tensor, width: torch.Tensor, pan: torch.Tensor) -> torch.Tensor:
    """Compute by how many dB width and pan move a stem to the right, from its powers (N, 3)."""
    before = torch.log10((image[:, 1] + LEAN_FLOOR) / (image[:, 0] + LEAN_FLOOR))
    matrix = width_matrix(width)  # (N, 2, 2)
    a, b = matrix[..., 0, 0], matrix[..., 0, 1]
    left = a * a * image[:, 0] + b * b * image[:, 1] + 2 * a * b * image[:, 2]
    right = b * b * image[:, 0] + a * a * image[:, 1] + 2 * a * b * image[:, 2]
    gains = pan_law(pan).square()
    after = torch.log10(
        (right.clamp(min=0) * gains[:, 1] + LEAN_FLOOR) / (left.clamp(min=0) * gains[:, 0] + LEAN_FLOOR)
    )
    return 10.0 * (after - before)


def equalizer_db(p: Mapping[str, torch.Tensor], hz: Sequence[float], sample_rate: int) -> torch.Tensor:
    """Compute the response of equalizers in dB at some frequencies, (N, frequencies)."""
    gain, frequency, q = (
        torch.stack([p[f"{band}_{name}"] for band in EQ_BANDS], dim=-1)
        for name in ("gain_db", "frequency_hz", "q")
    )
    top, bottom = analog_prototypes(gain, q)  # (3, N, 6)
    w = torch.tan(math.pi * torch.tensor(hz, dtype=gain.dtype) / sample_rate)
    ratio = w / torch.tan(math.pi * frequency / sample_rate)[..., None]  # (N, 6, F)

    def power(c: torch.Tensor) -> torch.Tensor:
        n2, n1, n0 = (x[..., None] for x in c)
        return (n0 - n2 * ratio**2).square() + (n1 * ratio).square()

    return 10.0 * torch.log10((power(top) / power(bottom)).clamp(min=1e-12)).sum(dim=1)


def bus_reduction_db(
    bus: torch.Tensor, params: ConsoleParams, sample_rate: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate what the master's compressor takes off, in dB: the mean, and the mean of the loudest twentieth.

    The static curve at the peaks of blocks of 50 ms; attack and release make it a little less.
    """
    block = max(1, round(ENVELOPE_S * sample_rate))
    peaks = bus.abs().amax(dim=0)
    peaks = torch.nn.functional.pad(peaks, (0, -len(peaks) % block)).view(-1, block).amax(dim=-1)
    level_db = 20.0 * torch.log10(peaks.clamp(min=1e-4)).sort(descending=True).values
    p = params.values("master_bus")
    knobs = {name: p[name] for name in ("threshold_db", "ratio", "knee_db")}
    reduction = -gain_computer(level_db, **knobs)
    return reduction.mean(), reduction[: max(1, len(reduction) // 20)].mean()


def limit_lean(params: ConsoleParams, stems: torch.Tensor, lock: Sequence[Lock] = ()) -> ConsoleParams:
    """Take back the pan and width of stems that lean too far from where they were delivered.

    What is measured is the sound of the strips, so an equalizer that turns a stem counts as well.

    Args:
        params: A console of stems.
        stems: The stems (N, 2, T), as they enter the strips.
        lock: What stays as it is.

    Returns:
        Another console. No stem leans more than 2.5 dB, but for those whose pan and width are locked.
    """
    console = MixingConsole(params.sample_rate)
    pan, width = knob_index("pan"), knob_index("width")
    params, before = params.clone(), lean_db(stems)
    for halvings in range(HALVINGS + 1):
        leaning = (lean_db(torch.stack(list(console.strips(stems, params)))) - before).abs() > LEAN_LIMIT_DB
        if not bool(leaning.any()):
            break
        milder = params.clone()
        share = 0.5 if halvings < HALVINGS else 0.0
        for column, neutral in ((pan, 0.5), (width, 1.0)):
            milder.tracks[leaning, column] = neutral + share * (params.tracks[leaning, column] - neutral)
        params = hold(params, milder, lock)
    return params


def lean_db(stems: torch.Tensor) -> torch.Tensor:
    """Measure by how many dB the right channel of stems (N, 2, T) is above the left, (N,)."""
    power = stems.detach().double().square().mean(dim=-1)
    power = power + LEAN_FLOOR * power.sum(dim=-1, keepdim=True) + 1e-30
    return 10.0 * torch.log10(power[:, 1] / power[:, 0])
