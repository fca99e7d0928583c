"""A song in blocks, so that the memory needed does not grow with its length.

What comes out is what one pass over the whole song gives, up to rounding: the states of all effects are carried over
from block to block.

Our console "default" on a CPU goes in blocks, with one setting or with a console a section. A console of a class of
one's own, one with registered effects or a meter, "reference", and sound on a GPU are rendered in one pass, as
`MixingConsole.render` does; sections are then rendered whole and cross-faded.

Chapter: Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import torch

from .automation import Automation
from .course import Settings, consoles_of, section_weights
from .mixing_console import MixingConsole
from .params import ConsoleParams
from .song_stream import BLOCK_S, SongStream, any_sends, check_settings
from .specs import base_console, own_effects


def goes_in_blocks(console: MixingConsole, tracks: torch.Tensor) -> bool:
    """Tell whether a console can mix tracks in blocks: see the top of this module."""
    preset = console.preset
    return (
        type(console) is MixingConsole
        and console.meter is None
        and base_console(preset) == "default"
        and not any(own_effects(preset, section) for section in ("track", "master_bus"))
        and tracks.device.type == "cpu"
    )


def stream_mix(
    console: MixingConsole,
    tracks: torch.Tensor,
    settings: Settings,
    *,
    block_s: float = BLOCK_S,
    fx_bus: bool | None = None,
) -> Iterator[torch.Tensor]:
    """Mix one song in blocks, without gradients: put together, they are what `MixingConsole.render` gives.

    Args:
        console: The console.
        tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
        settings: One console, or a console a section.
        block_s: Length of a block in seconds, if the console `goes_in_blocks`; else there is one block.
        fx_bus: Whether the effects bus runs; None: when something is sent to it.

    Yields:
        The next samples of the mix, (2, n).

    Raises:
        ValueError: As `MixingConsole.render` does, before anything is rendered.

    Example:
        >>> tracks, params = torch.randn(2, 2, 1000), ConsoleParams.neutral(["kick", "bass"])
        >>> mix = torch.cat(list(stream_mix(MixingConsole(44100), tracks, params, block_s=0.01)), dim=1)
        >>> torch.allclose(mix, MixingConsole(44100).render(tracks, params), atol=1e-6)
        True
    """
    if goes_in_blocks(console, tracks):
        song = SongStream(console, tracks, settings, block_s=block_s, fx_bus=fx_bus)
        return (block.mix for block in song if block.mix.shape[-1])
    check_settings(console, tracks, settings)
    return iter([_in_one_pass(console, tracks, settings, fx_bus)])


def stream_strips(
    console: MixingConsole, tracks: torch.Tensor, settings: Settings, *, block_s: float = BLOCK_S
) -> Iterator[torch.Tensor]:
    """Run the strips of one song in blocks, without gradients, as they reach the master bus.

    Args:
        console: The console.
        tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
        settings: One console, or a console a section.
        block_s: Length of a block in seconds, as in `stream_mix`.

    Yields:
        The next samples of all strips, (N, 2, n).

    Raises:
        ValueError: As `MixingConsole.render` does, before anything is rendered.

    Example:
        >>> tracks, params = torch.randn(2, 2, 1000), ConsoleParams.neutral(["kick", "bass"])
        >>> torch.cat(list(stream_strips(MixingConsole(44100), tracks, params)), dim=2).shape
        torch.Size([2, 2, 1000])
    """
    if goes_in_blocks(console, tracks):
        song = SongStream(console, tracks, settings, block_s=block_s)
        return (torch.stack(strips) for _, strips in song.strips())
    return iter([torch.stack(list(each_strip(console, tracks, settings)))])


def each_strip(console: MixingConsole, tracks: torch.Tensor, settings: Settings) -> Iterator[torch.Tensor]:
    """Run the strips of one song one after another, each whole, without gradients.

    Args:
        console: The console.
        tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
        settings: One console, or a console a section.

    Returns:
        Each track as it reaches the master bus, (2, T), computed when it is asked for.

    Raises:
        ValueError: As `MixingConsole.render` does, before anything is rendered.

    Example:
        >>> tracks, params = torch.randn(2, 2, 1000), ConsoleParams.neutral(["kick", "bass"])
        >>> [strip.shape for strip in each_strip(MixingConsole(44100), tracks, params)]
        [torch.Size([2, 1000]), torch.Size([2, 1000])]
    """
    check_settings(console, tracks, settings)
    if goes_in_blocks(console, tracks):
        return _each_strip_in_blocks(console, tracks, settings)
    if isinstance(settings, ConsoleParams):
        return console.strips(tracks, settings)
    sections = [console.strips(tracks, one) for one in settings.consoles]
    return (_cross_fade(parts, settings) for parts in zip(*sections, strict=True))


def fx_return(console: MixingConsole, tracks: torch.Tensor, settings: Settings) -> torch.Tensor | None:
    """Render what the effects bus returns, without gradients: (2, T); None where nothing is sent to it.

    Args:
        console: The console.
        tracks: Stems (N, 2, T) of one song; in "reference" channels (N, T).
        settings: One console, or a console a section.

    Raises:
        ValueError: As `MixingConsole.render` does.

    Example:
        >>> tracks, params = torch.randn(2, 2, 1000), ConsoleParams.neutral(["kick", "bass"])
        >>> fx_return(MixingConsole(44100), tracks, params) is None
        True
    """
    if not any_sends(settings):
        return None
    if goes_in_blocks(console, tracks):
        blocks = SongStream(console, tracks, settings)
        return torch.cat([block.reverb for block in blocks if block.reverb is not None], dim=1)
    check_settings(console, tracks, settings)
    returns = (_fx_return_in_one_pass(console, tracks, one) for one in consoles_of(settings))
    return next(returns) if isinstance(settings, ConsoleParams) else _cross_fade(returns, settings)


@torch.no_grad()
def _fx_return_in_one_pass(
    console: MixingConsole, tracks: torch.Tensor, params: ConsoleParams
) -> torch.Tensor:
    send = tracks.new_zeros(2, tracks.shape[-1])
    for wet, gain in zip(console.strips(tracks, params), console.send_gains(params), strict=True):
        send += wet * gain
    return console.fx_bus(send[None], params)[0]


def _each_strip_in_blocks(
    console: MixingConsole, tracks: torch.Tensor, settings: Settings
) -> Iterator[torch.Tensor]:
    together = torch.get_num_threads()
    for begin in range(0, len(tracks), together):
        rows = list(range(len(tracks)))[begin : begin + together]
        whole = [tracks.new_empty(2, tracks.shape[-1]) for _ in rows]
        for first, strips in SongStream(
            console, tracks[rows[0] : rows[-1] + 1], _of_rows(settings, rows)
        ).strips():
            for out, strip in zip(whole, strips, strict=True):
                out[:, first : first + strip.shape[-1]] = strip
        yield from whole


def _of_rows(settings: Settings, rows: list[int]) -> Settings:
    if isinstance(settings, ConsoleParams):
        return some_strips(settings, rows)
    return replace(settings, consoles=[some_strips(one, rows) for one in settings.consoles])


def some_strips(params: ConsoleParams, rows: list[int]) -> ConsoleParams:
    """Take some strips of a console, and its buses.

    Args:
        params: One console.
        rows: The numbers of the strips.

    Returns:
        A smaller console, which shares its numbers with the first one where they lie together.

    Example:
        >>> some_strips(ConsoleParams.neutral(["kick", "bass"]), [1]).names
        ['bass']
    """
    return ConsoleParams(
        params.tracks[rows],
        params.fx_bus_values,
        params.master_bus_values,
        names=[params.names[row] for row in rows],
        preset=params.preset,
        sample_rate=params.sample_rate,
    )


def _in_one_pass(
    console: MixingConsole, tracks: torch.Tensor, settings: Settings, fx_bus: bool | None
) -> torch.Tensor:
    if isinstance(settings, ConsoleParams):
        return console.render(tracks, settings, fx_bus=fx_bus)
    return _cross_fade((console.render(tracks, one, fx_bus=fx_bus) for one in settings.consoles), settings)


def _cross_fade(sounds: Iterable[torch.Tensor], settings: Automation) -> torch.Tensor:
    """Cross-fade the renderings (2, T) of a song's sections, where it cannot go in blocks."""
    total: torch.Tensor | None = None
    for number, sound in enumerate(sounds):
        seconds = np.arange(sound.shape[-1]) / settings.params.sample_rate
        part = sound * torch.from_numpy(section_weights(settings, number, seconds)).to(sound)
        total = part if total is None else total + part
    assert total is not None  # an automation has a section
    return total
