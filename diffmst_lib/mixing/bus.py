"""The master bus at its level: the song goes into it at -20 LUFS, so that its compressor does not drive.

Chapter: The console.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..audio.loudness import BUS_LUFS, loudness, normalize_loudness
from ..audio.multitrack import Multitrack
from ..console.gain_and_pan import pan_law, released_pan_law
from ..console.mixing_console import MixingConsole
from ..console.params import ConsoleParams
from ..console.specs import takes_stems
from ..console.table import OFF_DB, knob_index, param_table
from .windows import loudest_part

HOLD_SECONDS = 30.0  # of a song, in which the level before the master bus is measured


def run_console(
    console: MixingConsole,
    tracks: torch.Tensor,
    params: ConsoleParams,
    *,
    bus_lufs: float | None = BUS_LUFS,
    fx_bus: bool | None = False,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mix tracks, the sum of the strips held at one loudness before the master bus. Differentiable.

    Only a console of stems has its level held; that of mono channels has an input gain on its master.

    Args:
        console: The console.
        tracks: As `MixingConsole` takes them.
        params: The console's settings.
        bus_lufs: The loudness at the input of the master bus, in LUFS; None: as the strips add up.
        fx_bus: Whether the effects bus runs; None: when something is sent to it.
        mask: True where a track is real.

    Returns:
        The mix (2, T) or (B, 2, T).
    """
    if bus_lufs is None or not takes_stems(console.preset):
        return console(tracks, params, fx_bus=fx_bus, mask=mask).mix
    bus = console(tracks, params, fx_bus=fx_bus, mask=mask, master_bus=False).mix
    bus = normalize_loudness(bus, bus_lufs, sample_rate=console.sample_rate)
    return console.master_bus(bus if bus.ndim == 3 else bus[None], params).view_as(bus)


@torch.no_grad()
def plain_sum(tracks: torch.Tensor, pans: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Sum a batch of tracks, each at the pan where it starts, as a neutral console does.

    Args:
        tracks: Stems (B, N, 2, T), or channels (B, N, T), which follow the released pan law.
        pans: (B, N), from 0 to 1.
        mask: (B, N), True where a track is real; None: all are.

    Returns:
        The sum (B, 2, T).
    """
    stems = tracks.ndim == 4
    gains = pan_law(pans) if stems else released_pan_law(pans)  # (B, N, 2)
    if mask is not None:
        gains = gains * mask[..., None]
        tracks = tracks.masked_fill(~mask.view(*mask.shape, *[1] * (tracks.ndim - 2)), 0.0)
    with torch.autocast(tracks.device.type, enabled=False):
        stereo = tracks if stems else tracks[:, :, None].expand(-1, -1, 2, -1)
        return torch.einsum("bnc,bnct->bct", gains, stereo)


def console_tracks(song: Multitrack, preset: str = "default") -> tuple[list[str], torch.Tensor]:
    """Return a song's names and audio as a console of a preset takes them.

    Example:
        >>> song = Multitrack(["pad"], torch.randn(1, 2, 8))
        >>> console_tracks(song)[1].shape, console_tracks(song, "reference")[1].shape
        (torch.Size([1, 2, 8]), torch.Size([2, 8]))
    """
    return (song.names, song.audio) if takes_stems(preset) else song.as_channels()


def stems_of_strips(song: Multitrack, names: Sequence[str]) -> list[str]:
    """Name the stem of each strip of a song's console: the paper has a strip for each channel of a stem.

    Args:
        song: The song.
        names: The names of the strips, as `console_tracks` gives them.

    Returns:
        Names of stems, as many as strips.

    Example:
        >>> song = Multitrack(["pad"], torch.randn(1, 2, 8))
        >>> stems_of_strips(song, console_tracks(song, "reference")[0])
        ['pad', 'pad']
    """
    return [name if name in song.names else name[:-2] for name in names]


def move_faders(
    params: ConsoleParams, change_db: float, sounding: torch.Tensor | None = None
) -> ConsoleParams:
    """Move faders together; those that are off stay off, and none leaves its range.

    The balance of the strips stays: where one fader would leave its range, all move less.

    Args:
        params: The console.
        change_db: By how much.
        sounding: (N,), False for stems whose faders stay, since nothing comes through them; None: all move.

    Returns:
        Another console.
    """
    params = params.clone()
    column = knob_index("fader_db")
    fader = param_table("track")[column]
    faders = params.tracks[:, column]
    on = faders > OFF_DB
    if sounding is not None:
        on &= sounding.to(on.device)
    if bool(on.any()):
        lowest, highest = faders[on].min().item(), faders[on].max().item()
        change_db = min(max(change_db, min(0.0, fader.low + 1.0 - lowest)), max(0.0, fader.high - highest))
        params.tracks[on, column] += change_db
    return params


def bus_loudness(console: MixingConsole, song: Multitrack, params: ConsoleParams) -> float:
    """Measure a song's loudness as it reaches the master bus of a console, in LUFS, in its loudest half minute.

    It is given as that of the whole song: what the strips change in the half minute is added to the loudness
    of the plain sum.
    """
    part = loudest_part(song.audio, HOLD_SECONDS, sample_rate=song.sample_rate)
    bus = torch.zeros_like(part[0])
    for wet in console.strips(part, params):
        bus += wet
    levels = [
        loudness(x, sample_rate=song.sample_rate) for x in (bus, part.sum(dim=0), song.audio.sum(dim=0))
    ]
    mixed, plain, whole = levels
    return mixed + (whole - plain if math.isfinite(whole - plain) else 0.0)


def hold_bus(console: MixingConsole, song: Multitrack, params: ConsoleParams) -> ConsoleParams:
    """Move the faders so that the strips bring a song to -20 LUFS before the master bus; another console."""
    level = bus_loudness(console, song, params)
    sounding = song.audio.flatten(1).any(dim=1)
    return move_faders(params, BUS_LUFS - level, sounding) if math.isfinite(level) else params.clone()
