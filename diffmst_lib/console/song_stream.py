"""One song on its way through our console, block by block: what its effects keep from block to block.

Equalizers keep their states, compressors theirs and the sound that waits for the gain that runs ahead, reverbs what
still rings.

Chapter: Beyond the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from .compressor import compressor_lookahead, loop_settings
from .course import Course, Settings, consoles_of
from .engines.compressor import CompressorStream
from .engines.convolution import ConvolutionStream
from .engines.equalizer import CascadeStream
from .equalizer import filter_sections
from .gain_and_pan import db_to_gain, fader_gain, pan_law, width_matrix
from .mixing_console import MixingConsole, uses_fx_bus
from .reverb import room_response
from .signal_path import Knobs, compressor_settings, equalizer_settings
from .table import OFF_DB, REVERB_BANDS

BLOCK_S = 2.0  # few megabytes a stem, which a processor's cache still likes
StripListener = Callable[[int, torch.Tensor], None]  # hears a strip's number and its next samples (2, n)
CompressorListener = Callable[[torch.Tensor, torch.Tensor], None]  # hears before and after, without make-up


class _Chain:
    """Trim, equalizer, compressor and gains of a strip or a bus, with what they keep from block to block."""

    def __init__(
        self,
        section: str,
        course: Course,
        knobs: Knobs,
        sound: torch.Tensor,
        listener: CompressorListener | None = None,
    ):
        """Prepare for a sound (C, T) of which only the size matters, or tracks (N, 2, T) for a bus."""
        rate, self.course, self.listener = course.sample_rate, course, listener
        self.trim = db_to_gain(knobs["input_gain_db"]) if section == "track" else None
        self.sections = filter_sections(sample_rate=rate, **equalizer_settings(knobs))
        compressor = compressor_settings(knobs)
        makeup = db_to_gain(compressor["makeup_gain_db"])
        compressor["makeup_gain_db"] = torch.zeros_like(makeup)  # among the gains, which move in lines
        self.compressor_settings = loop_settings(sample_rate=rate, **compressor)
        if section == "track":
            sides = fader_gain(knobs["fader_db"], OFF_DB)[:, None] * pan_law(knobs["pan"])
        else:
            sides = db_to_gain(knobs["output_gain_db"])[:, None].expand(-1, 2)
        self.image = (makeup[:, None] * sides)[..., None] * width_matrix(knobs["width"])  # (points, 2, 2)
        channels, self.num_samples = sound.shape[-2:]
        self.equalizer = CascadeStream(channels, self.sections.shape[1])
        early = compressor_lookahead(section, course.preset, rate)
        self.compressor = CompressorStream(min(early, self.num_samples - 1))
        self.taken = self.given = 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Take the next samples (C, n) and return the next (2, m); after the last sample, all that is left."""
        first, self.taken = self.taken, self.taken + x.shape[-1]
        here, edges = self.course.steps(first, self.taken)
        if self.trim is not None:
            x = x * self.course.gains(self.trim, first, self.taken)
        x = self.equalizer(x, self.sections[here], edges)
        before, after = self.compressor(x, self.compressor_settings[here], edges)
        if self.taken == self.num_samples:
            before, after = (
                torch.cat(parts, dim=1) for parts in zip((before, after), self.compressor.rest(), strict=True)
            )
        if self.listener is not None:
            self.listener(before, after)
        if after.shape[-1] == 0:
            return x.new_zeros(2, 0)
        begin, self.given = self.given, self.given + after.shape[-1]
        image = self.course.gains(self.image, begin, self.given)  # (2, 2, 1) or (2, 2, m)
        if image.shape[-1] == 1:
            return image[..., 0] @ after.expand(2, -1)
        return (image * after.expand(2, -1)).sum(dim=1)


class _Room:
    """The effects bus: a reverb for each of its settings, which hears the sends of its sections."""

    def __init__(self, course: Course):
        self.course, self.taken = course, 0
        self.shares = torch.from_numpy(course.room_shares)
        self.reverbs = []
        for number in range(len(course.rooms)):
            p = course.room(number)
            gains, decays = (
                torch.stack([p[f"band{i}_{knob}"] for i in range(REVERB_BANDS)], dim=-1)
                for knob in ("gain", "decay")
            )
            fir = room_response(sample_rate=course.sample_rate, band_gains=gains, band_decays=decays)[0]
            self.reverbs.append(ConvolutionStream(fir))

    def __call__(self, send: torch.Tensor) -> torch.Tensor:
        """Take the next samples of the sum of the sends, (2, n), and return as many of the reverb's."""
        first, self.taken = self.taken, self.taken + send.shape[-1]
        if len(self.reverbs) == 1:
            return self.reverbs[0](send)
        back = torch.zeros_like(send)
        for share, reverb in zip(self.shares.T, self.reverbs, strict=True):
            back += reverb(send * self.course.gains(share, first, self.taken).to(send))
        return back


@dataclass
class Block:
    """Some samples of a song on their way through a console.

    Attributes:
        first: The number of the first sample of `strips`, `bus` and `reverb`.
        strips: The strips as they reach the master bus, N of (2, n).
        bus: Their sum, (2, n).
        reverb: What the effects bus returns, (2, n); None while it is off.
        mix: The next samples of the mix, (2, m), which follow those of the block before.
    """

    first: int
    strips: list[torch.Tensor]
    bus: torch.Tensor
    reverb: torch.Tensor | None
    mix: torch.Tensor


class SongStream:
    """One song in blocks, with listeners for those who measure.

    Args:
        console: A console that `goes_in_blocks`.
        tracks: Stems (N, 2, T).
        settings: One console, or a console a section.
        block_s: Length of a block in seconds.
        fx_bus: Whether the effects bus runs; None: when something is sent to it.
        strip_listener: Hears each strip, (2, n) at a time, on a thread of its own.
        compressor_listeners: Hear the compressors of the strips, N of them.
        master_listener: Hears the compressor of the master bus.

    Raises:
        ValueError: As `MixingConsole.render` does.

    Example:
        >>> from diffmst_lib import ConsoleParams
        >>> tracks, console = torch.randn(2, 2, 1000), MixingConsole(44100)
        >>> blocks = SongStream(console, tracks, ConsoleParams.neutral(["kick", "bass"]), block_s=0.01)
        >>> torch.allclose(torch.cat([block.mix for block in blocks], dim=1), tracks.sum(dim=0), atol=1e-5)
        True
    """

    def __init__(
        self,
        console: MixingConsole,
        tracks: torch.Tensor,
        settings: Settings,
        *,
        block_s: float = BLOCK_S,
        fx_bus: bool | None = None,
        strip_listener: StripListener | None = None,
        compressor_listeners: Sequence[CompressorListener | None] | None = None,
        master_listener: CompressorListener | None = None,
    ):
        check_settings(console, tracks, settings)
        self.tracks, self.course = tracks.detach(), Course(settings, tracks)
        self.length = max(1, round(block_s * console.sample_rate))
        self.fx_bus = any_sends(settings) if fx_bus is None else fx_bus
        self.strip_listener, self.master_listener = strip_listener, master_listener
        self.compressor_listeners = compressor_listeners or [None] * len(tracks)

    def __iter__(self) -> Iterator[Block]:
        """Render the song from its beginning."""
        course = self.course
        sends = [fader_gain(course.strip(row)["send_db"], OFF_DB) for row in range(len(self.tracks))]
        master = _Chain("master_bus", course, course.master_bus(), self.tracks, self.master_listener)
        room = _Room(course) if self.fx_bus else None
        for first, strips in self.strips():
            with torch.no_grad():
                bus, reverb = torch.zeros_like(strips[0]), None
                for strip in strips:
                    bus += strip
                if room is not None:
                    send, last = torch.zeros_like(bus), first + bus.shape[-1]
                    for strip, gain in zip(strips, sends, strict=True):
                        send += strip * course.gains(gain, first, last)
                    reverb = room(send)
                mix = master(bus if reverb is None else bus + reverb)
            yield Block(first, strips, bus, reverb, mix)

    def strips(self) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """Run the strips alone: the number of the first sample, and the strips' next samples, N of (2, n)."""
        tracks, course = self.tracks, self.course
        mono = [torch.equal(*stem) for stem in tracks]  # two equal channels: one is enough
        chains = [
            _Chain("track", course, course.strip(row), tracks[row, : 2 - mono[row]], listener)
            for row, listener in enumerate(self.compressor_listeners)
        ]

        @torch.no_grad()  # on each thread
        def run(row: int, start: int) -> torch.Tensor:
            wet = chains[row](tracks[row, : 2 - mono[row], start : start + self.length])
            if self.strip_listener is not None:
                self.strip_listener(row, wet)
            return wet

        given, starts = 0, range(0, tracks.shape[-1], self.length)
        with ThreadPoolExecutor(min(torch.get_num_threads(), len(tracks))) as pool:
            running = [pool.submit(run, row, 0) for row in range(len(tracks))]
            for start in starts:
                strips = [strip.result() for strip in running]
                following = start + self.length  # runs while others work on what this yields
                if following in starts:
                    running = [pool.submit(run, row, following) for row in range(len(tracks))]
                first, given = given, given + strips[0].shape[-1]
                if given > first:  # in the beginning a short block only goes into the compressors
                    yield first, strips


def any_sends(settings: Settings) -> bool:
    """Tell whether anything is sent to the effects bus."""
    return any(uses_fx_bus(console) for console in consoles_of(settings))


def check_settings(console: MixingConsole, tracks: torch.Tensor, settings: Settings) -> None:
    """Check the tracks of one song and its settings, as `MixingConsole.render` does."""
    for one in consoles_of(settings):
        console.checked_song(tracks, one)
