"""What a mix did to each stem, and what the master bus did to the song: the measurements of a report.

They are taken while the song is mixed, stem by stem, so that the report describes what is heard and not what the
knobs promise.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import LoudnessMeter, loudness
from ..audio.meters import StereoPowers, stereo_powers
from ..audio.multitrack import Multitrack
from ..audio.octaves import OCTAVES_HZ, octave_bins
from ..console.automation import Automation
from ..console.course import Settings
from ..console.equalizer import response_db
from ..console.mixing_console import MixingConsole, check_finite, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from ..console.song_stream import SongStream
from ..console.streaming import goes_in_blocks, some_strips, stream_mix
from ..network.roles import lead_voices
from .bus import console_tracks, stems_of_strips
from .mix_meters import GainReduction, ReductionMeter, VoiceMeter

GRID_PER_OCTAVE = 24  # frequencies at which an equalizer is read
VOICE_PIECE = 2**17  # samples of a song read at a time
MOST_THREADS = 4  # each needs the memory of a few stems


@dataclass
class StemMeasures:
    """One stem, as it was delivered and as it reaches the master bus.

    Attributes:
        delivered_lufs: Loudness of the stem as it was delivered; -inf for a silent one.
        mixed_lufs: Loudness as it reaches the master bus.
        delivered: Powers of its channels as it was delivered.
        mixed: Powers as it reaches the master bus.
        reduction: What its compressor takes off.
        equalizer_db: The response of its equalizer on `equalizer_grid`.
    """

    delivered_lufs: float
    mixed_lufs: float
    delivered: StereoPowers
    mixed: StereoPowers
    reduction: GainReduction
    equalizer_db: np.ndarray


@dataclass
class SongMeasures:
    """All stems of a song, and what becomes of their sum.

    Attributes:
        stems: The measures of each stem by its name.
        master: What the master's compressor takes off.
        master_equalizer_db: The response of the master's equalizer on `equalizer_grid`.
        lead_voice_lu: The lead voice over the rest at the master bus, in LU; NaN without one.
        delivered_voice_lu: The same in the plain sum.
        reverb_lu: The reverb's return over the dry sum, in LU; NaN without reverb.
        lead_voices: The stems that are the lead voice.
    """

    stems: dict[str, StemMeasures]
    master: GainReduction
    master_equalizer_db: np.ndarray
    lead_voice_lu: float
    delivered_voice_lu: float
    reverb_lu: float
    lead_voices: Sequence[str] = ()


@torch.no_grad()
def render_measured(
    console: MixingConsole, song: Multitrack, settings: Settings, levels: Sequence[float] | None = None
) -> tuple[torch.Tensor, SongMeasures]:
    """Mix a song, and measure on the way what the console does to it.

    Our console goes through the song in blocks, and needs the memory of some seconds beside song and mix; others
    render it in one pass, see `console.streaming`.

    Args:
        console: The console.
        song: The stems.
        settings: The console's settings for the song: one console, or a console a section. Of sections the
            equalizers that are measured are those of the loudest.
        levels: Loudness of each stem in LUFS, where it is known (`check_song`); None: it is measured.

    Returns:
        The mix (2, num_samples), as `MixingConsole.render` makes it, and the measures.

    Raises:
        InputError: For a console that gives NaN or infinity.
    """
    params = settings.params if isinstance(settings, Automation) else settings
    names, tracks = console_tracks(song, params.preset)
    if goes_in_blocks(console, tracks):
        mix, found = _in_blocks(console, song, settings)
    else:
        mix, found = _in_one_pass(console, song, params)
        if params is not settings:
            mix = next(stream_mix(console, tracks, settings))
            check_finite(console, mix, song.audio)
    stems = stems_of_strips(song, names)
    rows = [[row for row, of in enumerate(stems) if of == stem] for stem in song.names]
    grid = equalizer_grid(song.sample_rate)

    @torch.no_grad()  # on each thread
    def of_stem(stem: int) -> StemMeasures:
        dry, heard = song.audio[stem], found.stems[stem]
        return StemMeasures(
            loudness(dry, sample_rate=song.sample_rate) if levels is None else levels[stem],
            heard.lufs,
            stereo_powers(dry),
            heard.powers,
            heard.reduction,
            np.mean([equalizer_response_db(params, "track", grid, row) for row in rows[stem]], axis=0),
        )

    with ThreadPoolExecutor(min(torch.get_num_threads(), MOST_THREADS)) as pool:
        measured = dict(zip(song.names, pool.map(of_stem, range(len(rows))), strict=True))
    return mix, SongMeasures(
        measured,
        found.master,
        equalizer_response_db(params, "master_bus", grid),
        found.voice_lu,
        _delivered_voice_lu(song),
        found.reverb_lu if math.isfinite(found.reverb_lu) else math.nan,
        [song.names[row] for row in _voices(song)],
    )


@dataclass
class _StemHeard:
    """One stem as it reaches the master bus."""

    lufs: float
    powers: StereoPowers
    reduction: GainReduction


@dataclass
class _Heard:
    """What was measured while a song was rendered."""

    stems: list[_StemHeard]
    master: GainReduction
    voice_lu: float = math.nan
    reverb_lu: float = math.nan


def _in_blocks(console: MixingConsole, song: Multitrack, settings: Settings) -> tuple[torch.Tensor, _Heard]:
    """Render a song in blocks, and measure each of them."""
    num_samples, rate, voices = song.audio.shape[-1], song.sample_rate, _voices(song)
    meters = [LoudnessMeter(num_samples, sample_rate=rate) for _ in song.names]
    powers = [StereoPowers(0.0, 0.0, 0.0) for _ in song.names]
    reductions, master = [ReductionMeter() for _ in song.names], ReductionMeter()

    def hear_strip(row: int, wet: torch.Tensor) -> None:
        meters[row](wet)
        powers[row] += stereo_powers(wet)

    stream = SongStream(
        console,
        song.audio,
        settings,
        strip_listener=hear_strip,
        compressor_listeners=[meter.hear for meter in reductions],
        master_listener=master.hear,
    )
    voice = VoiceMeter(num_samples, rate) if voices else None
    buses = [LoudnessMeter(num_samples, sample_rate=rate) for _ in range(2 if stream.fx_bus else 0)]
    mix, given = torch.empty_like(song.audio[0]), 0
    for block in stream:
        if voice is not None:
            voice(sum_of([block.strips[row] for row in voices]), block.bus)
        if block.reverb is not None:
            buses[0](block.reverb)
            buses[1](block.bus)
        check_finite(console, block.mix, song.audio[..., given : given + block.mix.shape[-1]])
        mix[:, given : given + block.mix.shape[-1]] = block.mix
        given += block.mix.shape[-1]
    stems = [
        _StemHeard(meter.lufs(), power, reduction.reduction())
        for meter, power, reduction in zip(meters, powers, reductions, strict=True)
    ]
    return mix, _Heard(
        stems,
        master.reduction(),
        voice.lu() if voice else math.nan,
        buses[0].lufs() - buses[1].lufs() if buses else math.nan,
    )


def _in_one_pass(
    console: MixingConsole, song: Multitrack, params: ConsoleParams
) -> tuple[torch.Tensor, _Heard]:
    """Render a song stem by stem, each of them whole, and measure them."""
    names, tracks = console_tracks(song, params.preset)
    stems = stems_of_strips(song, names)
    rows = [[row for row, of in enumerate(stems) if of == stem] for stem in song.names]
    meter, rate, voices = ReductionMeter(), song.sample_rate, _voices(song)
    metered = console.metered(meter)
    sends = console.send_gains(params).flatten().tolist() if uses_fx_bus(params) else None
    bus = torch.zeros_like(song.audio[0])
    sent, voice = (bus.clone() if wanted else None for wanted in (sends, voices))
    found = _Heard([], GainReduction())

    def run(stem: int) -> tuple[_StemHeard, torch.Tensor]:
        return _run_stem(console, tracks[rows[stem]], some_strips(params, rows[stem]))

    workers = min(torch.get_num_threads(), MOST_THREADS)
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(rows), workers):  # a few at a time, so that few are in memory
            some = range(len(rows))[first : first + workers]
            for stem, (heard, wet) in zip(some, pool.map(run, some), strict=True):
                found.stems.append(heard)
                bus += wet
                if voice is not None and stem in voices:
                    voice += wet
                if sends and sent is not None:
                    sent.add_(wet, alpha=sends[stem])
    if voice is not None:
        of_voice = VoiceMeter(bus.shape[-1], rate)
        of_voice(voice, bus)
        found.voice_lu = of_voice.lu()
    if sent is not None:
        reverb = console.fx_bus(sent[None], params)[0]
        check_finite(console, reverb, sent, " on its effects bus")
        found.reverb_lu = loudness(reverb, sample_rate=rate) - loudness(bus, sample_rate=rate)
        bus += reverb
    mix = metered.master_bus(bus[None], params)[0]
    found.master = meter.reduction()
    if console.mixes_in_its_own_way():
        mix = console.render(tracks, params)
    check_finite(console, mix, bus)
    return mix, found


@torch.no_grad()  # on each thread
def _run_stem(
    console: MixingConsole, tracks: torch.Tensor, params: ConsoleParams
) -> tuple[_StemHeard, torch.Tensor]:
    """Run the strips of one stem: its measures, and how it reaches the master bus."""
    meter = ReductionMeter()
    wet = sum_of(list(console.metered(meter).strips(tracks, params)))
    check_finite(console, wet, tracks, f" in the strip of {params.names[0]}")
    return _StemHeard(
        loudness(wet, sample_rate=params.sample_rate), stereo_powers(wet), meter.reduction()
    ), wet


def sum_of(sounds: Sequence[torch.Tensor]) -> torch.Tensor:
    """Add up sounds, one at a time, so that they need not lie together."""
    total = sounds[0]
    for sound in sounds[1:]:
        total = total + sound
    return total


def _voices(song: Multitrack) -> list[int]:
    """Return the numbers of the stems that are the lead voice; none where they all are."""
    voices = [song.names.index(name) for name in lead_voices(song)]
    return voices if len(voices) < len(song.names) else []


def _delivered_voice_lu(song: Multitrack) -> float:
    """Compare the lead voice with the rest of the plain sum of the stems."""
    if not (voices := _voices(song)):
        return math.nan
    meter = VoiceMeter(song.audio.shape[-1], song.sample_rate)
    for piece in song.audio.split(VOICE_PIECE, dim=-1):
        meter(sum_of([piece[row] for row in voices]), sum_of(list(piece)))
    return meter.lu()


def equalizer_grid(sample_rate: float) -> np.ndarray:
    """List the frequencies at which a report reads equalizers: 20 Hz to 20 kHz, 24 an octave.

    Args:
        sample_rate: Sample rate in Hz; the highest frequency stays below its half.

    Returns:
        Frequencies in Hz.
    """
    high = min(20_000.0, 0.49 * sample_rate)
    return np.geomspace(20.0, high, round(GRID_PER_OCTAVE * math.log2(high / 20.0)))


def equalizer_response_db(
    params: ConsoleParams, section: str, frequency_hz: np.ndarray, row: int = 0
) -> np.ndarray:
    """Compute the response of one equalizer of a console.

    Args:
        params: One console.
        section: "track" or "master_bus".
        frequency_hz: Frequencies (num_points,) in Hz.
        row: Which track.

    Returns:
        Gains (num_points,) in dB.
    """
    settings = {
        name: torch.atleast_2d(values)[row][None].double()
        for name, values in equalizer_settings(params.values(section)).items()
    }
    if not bool(settings["gain_db"].any()):
        return np.zeros(len(frequency_hz))
    return response_db(torch.from_numpy(frequency_hz), sample_rate=params.sample_rate, **settings)[0].numpy()


def shared_equalizer_db(measures: SongMeasures, sample_rate: float) -> np.ndarray:
    """Compute what all stems have in common: the mean response of the strips, plus that of the master bus.

    Args:
        measures: The measures of a song. Silent stems do not count.
        sample_rate: Sample rate in Hz.

    Returns:
        Means over ten octaves, (10,), in dB; NaN for octaves above half the sample rate.
    """
    grid = equalizer_grid(sample_rate)
    strips = [one.equalizer_db for one in measures.stems.values() if math.isfinite(one.delivered_lufs)]
    together = measures.master_equalizer_db + (np.mean(strips, axis=0) if strips else 0.0)
    octaves = [octave_bins(grid, center) for center in OCTAVES_HZ]
    return np.array([together[bins].mean() if bins.any() else math.nan for bins in octaves])
