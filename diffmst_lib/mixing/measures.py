"""What a mix did to each stem, and what the master bus did to the song: the measurements of a report.

The console is run once more, stem by stem, so that the report describes what is heard and not what the knobs
promise.

Chapter: Style by optimization.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import loudness
from ..audio.meters import StereoPowers, block_powers, ratio_where_active_db, stereo_powers
from ..audio.multitrack import Multitrack
from ..audio.octaves import OCTAVES_HZ, octave_bins
from ..audio.roles import is_lead_voice
from ..console.equalizer import filter_sections
from ..console.mixing_console import MixingConsole, uses_fx_bus
from ..console.params import ConsoleParams
from ..console.table import EQ_BANDS
from .bus import console_tracks

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
        self._before: torch.Tensor | float = 0.0
        self._after: torch.Tensor | float = 0.0
        self._channels = 0

    def __call__(self, before: torch.Tensor, after: torch.Tensor, makeup_gain_db: torch.Tensor) -> None:
        """Take the input and the output (K, C, T) of K compressors with make-up gains (K,)."""
        makeup = 10.0 ** (makeup_gain_db.double() / 10.0)
        self._before = self._before + _block_energies(before).sum(dim=0)
        self._after = self._after + (_block_energies(after) / makeup[:, None]).sum(dim=0)
        self._channels += before.shape[0] * before.shape[1]

    def reduction(self) -> GainReduction:
        """Compute the gain reduction of what was heard so far."""
        if not isinstance(self._before, torch.Tensor) or not isinstance(self._after, torch.Tensor):
            return GainReduction()
        sounding = self._before > SOUNDING * GAIN_BLOCK * self._channels
        if not bool(sounding.any()):
            return GainReduction()
        ratio = self._before[sounding] / self._after[sounding].clamp(min=1e-30)
        reduction_db = (10.0 * ratio.log10()).clamp(min=0.0).numpy()
        return GainReduction(
            float(reduction_db.mean()), float(np.percentile(reduction_db, 95)), float(reduction_db.max())
        )


def _block_energies(x: torch.Tensor) -> torch.Tensor:
    """Sum the squares of (K, C, T) in blocks over time: (K, blocks), float64; the end is padded."""
    energy = x.detach().cpu().square().sum(dim=1)
    energy = torch.nn.functional.pad(energy, (0, -energy.shape[-1] % GAIN_BLOCK))
    return energy.unflatten(-1, (-1, GAIN_BLOCK)).sum(dim=-1).double()


def metered_console(params: ConsoleParams, meter: ReductionMeter) -> MixingConsole:
    """Make a console whose compressors are heard by a meter."""
    console = MixingConsole(params.sample_rate, preset=params.preset)
    compress: Callable[..., torch.Tensor] = console._effects.compressor

    def compressor(x: torch.Tensor, **settings: torch.Tensor) -> torch.Tensor:
        y = compress(x, **settings)
        meter(x, y, settings["makeup_gain_db"])
        return y

    console._effects = console._effects._replace(compressor=compressor)
    return console


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
        plain_sum: The sum of the stems as delivered, (2, num_samples).
    """

    stems: dict[str, StemMeasures]
    master: GainReduction
    master_equalizer_db: np.ndarray
    lead_voice_lu: float
    delivered_voice_lu: float
    reverb_lu: float
    plain_sum: torch.Tensor


def measure_song(song: Multitrack, params: ConsoleParams) -> SongMeasures:
    """Run the console over a song, and measure what it does.

    Args:
        song: The stems.
        params: One console for the song.

    Returns:
        The measures of every stem and of the master bus.
    """
    names, tracks = console_tracks(song, params.preset)
    stems = [name if name in song.stems else name[:-2] for name in names]  # the paper: a strip a channel
    rows = {stem: [i for i, of in enumerate(stems) if of == stem] for stem in song.names}
    sends = MixingConsole(song.sample_rate, params.preset).send_gains(params) if uses_fx_bus(params) else None

    def measure(stem: str) -> tuple[StemMeasures, torch.Tensor, torch.Tensor | float]:
        return _measure_stem(
            song.stems[stem], [names[i] for i in rows[stem]], tracks[rows[stem]], params, sends
        )

    measured: dict[str, StemMeasures] = {}
    sums: dict[str, torch.Tensor] = {}
    workers = min(torch.get_num_threads(), MOST_THREADS)
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(song.names), workers):  # a few at a time, so that few are in memory
            some = song.names[first : first + workers]
            for stem, (measures, wet, sent) in zip(some, pool.map(measure, some), strict=True):
                measured[stem] = measures
                role = "voice" if is_lead_voice(stem) else "rest"
                for part, sound in ((role, wet), (f"delivered {role}", song.stems[stem]), ("sent", sent)):
                    if isinstance(sound, torch.Tensor):
                        sums[part] = sums[part].add_(sound) if part in sums else sound.detach().clone()
    return _measure_sums(song, params, measured, sums)


@torch.no_grad()
def _measure_stem(
    dry: torch.Tensor,
    names: list[str],
    tracks: torch.Tensor,
    params: ConsoleParams,
    sends: torch.Tensor | None,
) -> tuple[StemMeasures, torch.Tensor, torch.Tensor | float]:
    """Run the strips of a stem: its measures, and what it sends to the master bus and to the effects bus."""
    of, meter, grid = (
        [params.names.index(name) for name in names],
        ReductionMeter(),
        equalizer_grid(params.sample_rate),
    )
    mine = ConsoleParams(
        params.tracks[of],
        params.fx_bus_values,
        params.master_bus_values,
        names=names,
        preset=params.preset,
        sample_rate=params.sample_rate,
    )
    wet = torch.zeros_like(dry)
    sent: torch.Tensor | float = 0.0
    for row, strip in zip(of, metered_console(params, meter).strips(tracks, mine), strict=True):
        wet += strip
        if sends is not None:
            sent = sent + strip * sends[row]
    mono, delivered, mixed = torch.equal(*dry), stereo_powers(dry), stereo_powers(wet)
    measures = StemMeasures(
        _stem_loudness(dry, delivered, mono, params.sample_rate),
        _stem_loudness(wet, mixed, mono and len(of) == 1, params.sample_rate),
        delivered,
        mixed,
        meter.reduction(),
        np.mean([equalizer_response_db(params, "track", grid, row) for row in of], axis=0),
    )
    return measures, wet, sent


@torch.no_grad()
def _measure_sums(
    song: Multitrack, params: ConsoleParams, stems: dict[str, StemMeasures], sums: dict[str, torch.Tensor]
) -> SongMeasures:
    """Measure what the stems add up to: voice and rest, the reverb, the master bus."""
    rate, meter, silence = song.sample_rate, ReductionMeter(), torch.zeros_like(song.audio[0])
    console = metered_console(params, meter)
    bus, reverb_lu = sums.get("voice", silence) + sums.get("rest", silence), math.nan
    if "sent" in sums:
        reverb = console.fx_bus(sums["sent"][None], params)[0]
        reverb_lu = loudness(reverb, sample_rate=rate) - loudness(bus, sample_rate=rate)
        bus += reverb
    console.master_bus(bus[None], params)
    return SongMeasures(
        stems,
        meter.reduction(),
        equalizer_response_db(params, "master_bus", equalizer_grid(rate)),
        _voice_lu(sums, "voice", "rest", rate),
        _voice_lu(sums, "delivered voice", "delivered rest", rate),
        reverb_lu if math.isfinite(reverb_lu) else math.nan,
        sums.get("delivered voice", silence) + sums.get("delivered rest", silence),
    )


def _voice_lu(sums: dict[str, torch.Tensor], voice: str, rest: str, sample_rate: int) -> float:
    if voice not in sums or rest not in sums:
        return math.nan
    of_voice, of_rest = (
        block_powers(sums[part], VOICE_BLOCK_S, sample_rate=sample_rate) for part in (voice, rest)
    )
    return ratio_where_active_db(of_voice, of_rest)


def _stem_loudness(audio: torch.Tensor, powers: StereoPowers, mono: bool, sample_rate: int) -> float:
    """Measure the loudness of a stem; of a mono stem, panned or not, one channel says it all."""
    if not powers.left + powers.right > 0.0:
        return -math.inf
    if mono:
        loud = int(powers.right > powers.left)
        factor = math.sqrt((powers.left + powers.right) / max(powers.left, powers.right))
        audio = factor * audio[loud : loud + 1]
    return loudness(audio, sample_rate=sample_rate)


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
    knobs = params.values(section)
    settings = {
        name: torch.stack([torch.atleast_1d(knobs[f"{band}_{name}"])[row] for band in EQ_BANDS])[None]
        for name in ("gain_db", "frequency_hz", "q")
    }
    if not bool(settings["gain_db"].any()):
        return np.zeros(len(frequency_hz))
    sections = filter_sections(sample_rate=params.sample_rate, **settings)[0].numpy()  # (6, 5)
    z = np.exp(-2j * np.pi * frequency_hz / params.sample_rate)
    response = np.ones(len(frequency_hz), dtype=complex)
    for b0, b1, b2, a1, a2 in sections:
        response *= (b0 + b1 * z + b2 * z**2) / (1.0 + a1 * z + a2 * z**2)
    return 20.0 * np.log10(np.abs(response))


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
