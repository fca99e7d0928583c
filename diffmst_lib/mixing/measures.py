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

from ..audio.loudness import loudness
from ..audio.meters import StereoPowers, block_powers, ratio_where_active_db, stereo_powers
from ..audio.multitrack import Multitrack
from ..audio.octaves import OCTAVES_HZ, octave_bins
from ..audio.roles import is_lead_voice
from ..console.equalizer import response_db
from ..console.mixing_console import MixingConsole, check_finite, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.signal_path import equalizer_settings
from .bus import console_tracks, stems_of_strips

GAIN_BLOCK = 64  # samples over which a compressor's gain is averaged: 1.5 ms at 44.1 kHz
SOUNDING = 1e-7  # mean square above which a stem sounds: -70 dBFS, as the absolute gate of ITU-R BS.1770
VOICE_BLOCK_S = 0.4  # the blocks of integrated loudness
GRID_PER_OCTAVE = 24  # frequencies at which an equalizer is read
MOST_THREADS = 4  # each needs the memory of a few stems


@dataclass
class GainReduction:
    """How much a compressor takes off, less its make-up gain, while something sounds at its input.

    Attributes:
        mean_db: The mean over time, in dB, 0 or more; NaN when nothing sounds.
        high_db: Its 95th percentile.
        most_db: The most, over 64 samples.
    """

    mean_db: float = math.nan
    high_db: float = math.nan
    most_db: float = math.nan


class ReductionMeter:
    """Listens to a compressor's input and output, and sums up their energies in blocks of 64 samples.

    Example:
        >>> meter = ReductionMeter()
        >>> sound = torch.ones(1, 2, 640)
        >>> meter(sound, 0.5 * sound, torch.zeros(1))
        >>> round(meter.reduction().mean_db, 2)
        6.02
    """

    def __init__(self) -> None:
        self._before = self._after = np.zeros(1)
        self._channels = 0

    def __call__(self, before: torch.Tensor, after: torch.Tensor, makeup_gain_db: torch.Tensor) -> None:
        """Take the input and the output (K, C, T) of K compressors with make-up gains (K,)."""
        for x, y, makeup_db in zip(before, after, makeup_gain_db.tolist(), strict=True):
            self._before = self._before + _block_energies(x)
            self._after = self._after + _block_energies(y) / 10.0 ** (makeup_db / 10.0)
            self._channels += len(x)

    def reduction(self) -> GainReduction:
        """Compute the gain reduction of what was heard so far."""
        sounding = self._before > SOUNDING * GAIN_BLOCK * self._channels
        if not sounding.any():
            return GainReduction()
        ratio = self._before[sounding] / np.maximum(self._after[sounding], 1e-30)
        reduction_db = np.maximum(10.0 * np.log10(ratio), 0.0)
        return GainReduction(
            float(reduction_db.mean()), float(np.percentile(reduction_db, 95)), float(reduction_db.max())
        )


def _block_energies(x: torch.Tensor) -> np.ndarray:
    """Sum the squares of (C, T) in blocks over time: (blocks,), float64; the last block may be shorter."""
    samples = x.detach().cpu().numpy()
    whole = samples.shape[-1] // GAIN_BLOCK * GAIN_BLOCK
    blocks = samples[:, :whole].reshape(len(samples), -1, GAIN_BLOCK)
    rest = np.square(samples[:, whole:]).sum()
    return np.append(np.einsum("cbn,cbn->b", blocks, blocks), rest).astype(np.float64)


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
        lead_voice_lu: The lead voice over the rest at the master bus, in LU; NaN where no name says one.
        delivered_voice_lu: The same in the plain sum.
        reverb_lu: The reverb's return over the dry sum, in LU; NaN without reverb.
    """

    stems: dict[str, StemMeasures]
    master: GainReduction
    master_equalizer_db: np.ndarray
    lead_voice_lu: float
    delivered_voice_lu: float
    reverb_lu: float


@torch.no_grad()
def render_measured(
    console: MixingConsole, song: Multitrack, params: ConsoleParams, levels: Sequence[float] | None = None
) -> tuple[torch.Tensor, SongMeasures]:
    """Mix a song, and measure on the way what the console does to it.

    Args:
        console: The console.
        song: The stems.
        params: The console's settings for the song.
        levels: Loudness of each stem in LUFS, where it is known (`check_song`); None: it is measured.

    Returns:
        The mix (2, num_samples), as `MixingConsole.render` makes it, and the measures.

    Raises:
        InputError: For a console that gives NaN or infinity.
    """
    names, tracks = console_tracks(song, params.preset)
    stems = stems_of_strips(song, names)
    rows = [[row for row, of in enumerate(stems) if of == stem] for stem in song.names]
    meter, rate = ReductionMeter(), song.sample_rate
    metered = console.metered(meter)
    sends = console.send_gains(params).flatten().tolist() if uses_fx_bus(params) else None
    bus = torch.zeros_like(song.audio[0])
    sent = bus.clone() if sends else None
    voices = [is_lead_voice(stem) for stem in song.names]
    voice = bus.clone() if any(voices) and not all(voices) else None

    def measure(stem: int) -> tuple[StemMeasures, torch.Tensor]:
        dry = song.audio[stem]
        lufs = loudness(dry, sample_rate=rate) if levels is None else levels[stem]
        return _measure_stem(console, dry, lufs, tracks[rows[stem]], _strips_of(params, rows[stem]))

    measured: dict[str, StemMeasures] = {}
    workers = min(torch.get_num_threads(), MOST_THREADS)
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(rows), workers):  # a few at a time, so that few are in memory
            some = range(len(rows))[first : first + workers]
            for stem, (measures, wet) in zip(some, pool.map(measure, some), strict=True):
                measured[song.names[stem]] = measures
                bus += wet
                if voice is not None and voices[stem]:
                    voice += wet
                if sends and sent is not None:
                    sent.add_(wet, alpha=sends[stem])
    lead_voice_lu = delivered_voice_lu = reverb_lu = math.nan
    if voice is not None:
        lead_voice_lu = _voice_lu(voice, bus, rate)
        delivered_voice_lu = _voice_lu(song.audio[voices].sum(dim=0), song.audio.sum(dim=0), rate)
    if sent is not None:
        reverb = console.fx_bus(sent[None], params)[0]
        check_finite(console, reverb, sent, " on its effects bus")
        reverb_lu = loudness(reverb, sample_rate=rate) - loudness(bus, sample_rate=rate)
        bus += reverb
    mix = metered.master_bus(bus[None], params)[0]
    if console.mixes_in_its_own_way():
        mix = console.render(tracks, params)
    check_finite(console, mix, bus)
    return mix, SongMeasures(
        measured,
        meter.reduction(),
        equalizer_response_db(params, "master_bus", equalizer_grid(rate)),
        lead_voice_lu,
        delivered_voice_lu,
        reverb_lu if math.isfinite(reverb_lu) else math.nan,
    )


def _strips_of(params: ConsoleParams, rows: list[int]) -> ConsoleParams:
    """Take some strips of a console, and its buses."""
    return ConsoleParams(
        params.tracks[rows],
        params.fx_bus_values,
        params.master_bus_values,
        names=[params.names[row] for row in rows],
        preset=params.preset,
        sample_rate=params.sample_rate,
    )


@torch.no_grad()  # on each thread
def _measure_stem(
    console: MixingConsole, dry: torch.Tensor, lufs: float, tracks: torch.Tensor, params: ConsoleParams
) -> tuple[StemMeasures, torch.Tensor]:
    """Run the strips of one stem: its measures, and how it reaches the master bus."""
    meter, grid, rate = ReductionMeter(), equalizer_grid(params.sample_rate), params.sample_rate
    wet, *others = console.metered(meter).strips(tracks, params)
    for other in others:
        wet = wet + other
    check_finite(console, wet, tracks, f" in the strip of {params.names[0]}")
    measures = StemMeasures(
        lufs,
        loudness(wet, sample_rate=rate),
        stereo_powers(dry),
        stereo_powers(wet),
        meter.reduction(),
        np.mean([equalizer_response_db(params, "track", grid, row) for row in range(len(tracks))], axis=0),
    )
    return measures, wet


def _voice_lu(voice: torch.Tensor, everything: torch.Tensor, sample_rate: int) -> float:
    """Compare a voice with the rest of a sum that it is part of."""
    of_voice, of_rest = (
        block_powers(x, VOICE_BLOCK_S, sample_rate=sample_rate) for x in (voice, everything - voice)
    )
    return ratio_where_active_db(of_voice, of_rest)


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
