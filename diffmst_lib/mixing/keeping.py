"""What a fit keeps of the song: the pull towards the start, and the guards.

The loss hears only the sum of the stems, so what it cannot hear has to be held by something else. Distances are
counted in moves (`ParamSpec.step`): 3 dB of a fader, a fifth of a pan, a third of an octave. Guards look at what
comes out: they cost nothing within limits that leave room for a mix, and much beyond.

Chapter: Style by optimization.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..audio.octaves import OCTAVES_HZ
from ..audio.roles import is_lead_voice
from ..console.compressor import gain_computer
from ..console.equalizer import response_db
from ..console.mixing_console import ConsoleOutput, MixingConsole
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..console.specs import takes_stems
from ..console.table import SECTIONS, knob_index
from .parts import Lock, hold

KEEP = 1.0  # the default weight of all of this

# Loss for one move of one knob: on every strip, in what all strips share (which belongs to the master), there.
STRIP_WEIGHT, COMMON_WEIGHT, MASTER_WEIGHT = 0.001, 0.02, 0.00003
GUARD_WEIGHT = 0.01  # loss for one dB beyond a limit
LEAN_FREE_DB = 0.8  # of a stem, from where it was delivered
BALANCE_FREE_DB = 4.0  # of a stem against the others, from where the fit starts
VOICE_FREE_DB = 1.5  # of the lead voice against all others together
OCTAVE_FREE_DB = 10.0  # mean strip and master together
REDUCTION_FREE_DB = 2.5, 6.0  # of the master's compressor: in the mean, and in the loudest twentieth

LEAN_LIMIT_DB = 2.5  # in the window that is fitted, so that it stays below 3 dB in the song
BACK, TIMES = 0.75, 10  # pan and width of a stem that leans further go back to three quarters, ten times
FLOOR = 1e-4  # a channel 40 dB under the other counts as that
ENVELOPE_S = 0.05


class Pull:
    """How far a console is from its start, and beyond the limits, as a loss: 0 at the start.

    Args:
        start: The logits of the start: strips (N, knobs), effects bus, master bus.
        init: The console that they belong to.
        tracks: What is fitted: stems (N, 2, T), or channels (N, T).
        wet: The same as it leaves the strips at the start, (N, 2, T).
        lead_voices: The stems that are the lead voice; None: those whose names say so.
    """

    def __init__(
        self,
        start: Sequence[torch.Tensor],
        init: ConsoleParams,
        tracks: torch.Tensor,
        wet: torch.Tensor,
        lead_voices: Sequence[str] | None = None,
    ):
        self.unit = [torch.sigmoid(z.detach()) for z in start]
        self.moves = {
            s: torch.tensor([spec.moves for spec in init.specs(s)], device=wet.device) for s in SECTIONS
        }
        self.sounding = tracks.detach().square().flatten(1).sum(dim=-1) > 0
        self.level_db = level_db(wet)
        self.stems = takes_stems(init.preset)  # what the guards look at, channels do not have
        self.lean_db = lean_db(tracks if self.stems else wet)
        leads = [is_lead_voice(name) if lead_voices is None else name in lead_voices for name in init.names]
        self.voices = torch.tensor(leads, device=wet.device)
        self.voice_lu = voice_lu(wet, self.voices)
        # A start that leans further was meant to: the user's own, for instance.
        self.lean_free_db = (lean_db(wet) - self.lean_db).abs().clamp(min=LEAN_FREE_DB)

    def __call__(
        self, logits: Sequence[torch.Tensor], params: ConsoleParams, out: ConsoleOutput
    ) -> torch.Tensor:
        """Compute the pull of a console, given its logits and its strips with their sum."""
        strips, _, master = (
            (torch.sigmoid(z) - u) * self.moves[section]
            for z, u, section in zip(logits, self.unit, SECTIONS, strict=True)
        )
        strips = strips[self.sounding]
        total = STRIP_WEIGHT * strips.square().sum(dim=-1).mean()
        total = total + COMMON_WEIGHT * strips.mean(dim=0).square().sum()
        total = total + MASTER_WEIGHT * master.square().sum()
        return total + (GUARD_WEIGHT * self.guards(params, out) if self.stems else 0.0)

    def guards(self, params: ConsoleParams, out: ConsoleOutput) -> torch.Tensor:
        """Sum what is beyond the limits, squared, in dB^2."""
        moved = (level_db(out.tracks) - self.level_db)[self.sounding]
        moved = (moved - moved.mean()).abs()
        leaned = (lean_db(out.tracks) - self.lean_db)[self.sounding].abs()
        mean, most = bus_reduction_db(out.mix, params)
        octaves = octaves_db(params, self.sounding).abs()
        beyond = (
            moved - BALANCE_FREE_DB,
            (voice_lu(out.tracks, self.voices) - self.voice_lu).abs() - VOICE_FREE_DB,
            leaned - self.lean_free_db[self.sounding],
            octaves - OCTAVE_FREE_DB,
            mean - REDUCTION_FREE_DB[0],
            most - REDUCTION_FREE_DB[1],
        )
        return sum((b.clamp(min=0.0).square().mean() for b in beyond), start=out.mix.new_zeros(()))


def level_db(stems: torch.Tensor) -> torch.Tensor:
    """Measure the power of stems (N, 2, T), (N,), in dB. Differentiable."""
    return 10.0 * torch.log10(stems.square().flatten(1).mean(dim=-1) + 1e-12)


def voice_lu(stems: torch.Tensor, voices: torch.Tensor) -> torch.Tensor:
    """Measure lead voices against the power of all other stems (N, 2, T), in dB; 0 without either."""
    if not bool(voices.any()) or bool(voices.all()):
        return stems.new_zeros(())
    power = stems.square().flatten(1).mean(dim=-1) + 1e-12
    return 10.0 * torch.log10(power[voices].sum() / power[~voices].sum())


def lean_db(stems: torch.Tensor) -> torch.Tensor:
    """Measure by how many dB the right channel of stems (N, 2, T) is above the left, (N,). Differentiable."""
    power = stems.square().mean(dim=-1)
    power = power + FLOOR * power.sum(dim=-1, keepdim=True) + 1e-12
    return 10.0 * torch.log10(power[:, 1] / power[:, 0])


def octaves_db(params: ConsoleParams, sounding: torch.Tensor) -> torch.Tensor:
    """Compute the mean strip's equalizer and the master's together, at ten octaves, (10,), in dB."""
    bus = {name: value[None] for name, value in params.values("master_bus").items()}
    strips, master = (
        response_db(
            torch.tensor(OCTAVES_HZ, device=params.tracks.device).clamp(max=0.49 * params.sample_rate),
            sample_rate=params.sample_rate,
            **equalizer_settings(knobs),
        )
        for knobs in (params.values("track"), bus)
    )
    return strips[sounding].mean(dim=0) + master[0]


def bus_reduction_db(bus: torch.Tensor, params: ConsoleParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Estimate what the master's compressor takes off a song (2, T), in dB: the mean, and its loudest twentieth.

    The static curve at the peaks of blocks of 50 ms; attack and release make it a little less.
    """
    block = max(1, round(ENVELOPE_S * params.sample_rate))
    peaks = bus.abs().amax(dim=0)
    peaks = torch.nn.functional.pad(peaks, (0, -len(peaks) % block)).view(-1, block).amax(dim=-1)
    levels = 20.0 * torch.log10(peaks.clamp(min=1e-4)).sort(descending=True).values
    p = params.values("master_bus")
    knobs = {name: p[name] for name in ("threshold_db", "ratio", "knee_db")}
    reduction = -gain_computer(levels, **knobs)
    return reduction.mean(), reduction[: max(1, len(reduction) // 20)].mean()


def limit_lean(
    console: MixingConsole,
    params: ConsoleParams,
    stems: torch.Tensor,
    lock: Sequence[Lock] = (),
    init: ConsoleParams | None = None,
) -> ConsoleParams:
    """Take back the pan and width of stems that lean too far from where they were delivered.

    What is measured is the sound of the strips, so an equalizer that turns a stem counts as well.

    Args:
        console: The console, one of stems.
        params: Its settings.
        stems: The stems (N, 2, T), as they enter the strips.
        lock: What stays as it is.
        init: The settings of the start: stems that lean there may lean as far; None: none does.

    Returns:
        Other settings. No stem leans more than 2.5 dB, but for those that did at the start or are locked.
    """
    params, before = params.clone(), lean_db(stems)
    limit_db = torch.full_like(before, LEAN_LIMIT_DB)
    if init is not None:
        started = lean_db(torch.stack(list(console.strips(stems, init))))
        limit_db = torch.maximum(limit_db, (started - before).abs() + 0.1)
    for times in range(TIMES + 1):
        wet = torch.stack(list(console.strips(stems, params)))
        leaning = (lean_db(wet) - before).abs() > limit_db
        if not bool(leaning.any()):
            break
        milder, share = params.clone(), BACK if times < TIMES else 0.0
        for column, neutral in ((knob_index("pan"), 0.5), (knob_index("width"), 1.0)):
            milder.tracks[leaning, column] = neutral + share * (params.tracks[leaning, column] - neutral)
        params = hold(params, milder, lock)
    return params
