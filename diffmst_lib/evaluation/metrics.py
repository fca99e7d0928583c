"""What is measured of one mix: how near its record it is, and what that cost. Each with its unit and direction.

No number here is how good a mix is. The chapter shows which of them hears what.

Chapter: How good is a mix?
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..audio.loudness import MIX_LUFS, loudness, normalize_loudness
from ..audio.meters import decibels, stereo_powers, true_peak_db
from ..audio.octaves import StereoSpectrum, stereo_spectrum
from ..inputs import InputError
from ..mixing.costs import balance_cost, measures_of
from ..mixing.result import MixResult
from ..style.features import audio_features
from ..style.losses import AF_WEIGHTS, feature_distance
from .task import Task

BANDS = {1: 10, 3: 29}  # bands by how many an octave has
SILENT_DB = (
    -60.0
)  # against the loudness of the sound: a band below it counts as this loud, since nobody hears it


@dataclass(frozen=True)
class Metric:
    """A column of `measure`.

    Attributes:
        label: A few words for tables and figures.
        unit: Its unit; "" for a number without one.
        better: "low" or "high"; "record": nearer the record's value; "none": neither.
        floor: What the record itself scores, as a mix of itself, both at one loudness; NaN where there is no best value.
        about: One line: what it is.
        console: Whether only a console tells it, so that it is NaN for a mix that is sound alone.
    """

    label: str
    unit: str
    better: str
    floor: float
    about: str
    console: bool = False


_AF = "weighted term of the audio-feature loss, as the paper's tables list it"
METRICS: dict[str, Metric] = {
    "rms": Metric("RMS", "", "low", 0.0, f"level: {_AF}"),
    "crest_factor": Metric("crest factor", "", "low", 0.0, f"dynamics: {_AF}"),
    "stereo_width": Metric("stereo width", "", "low", 0.0, f"side against mid: {_AF}"),
    "stereo_imbalance": Metric("stereo imbalance", "", "low", 0.0, f"right against left: {_AF}"),
    "bark_spectrum": Metric("Bark spectrum", "", "low", 0.0, f"spectrum of mid and side: {_AF}"),
    "af_sum": Metric(
        "AF loss, sum", "", "low", 0.0, "audio-feature loss of equation 8, as in the paper's Table 2"
    ),
    "af_mean": Metric("AF loss, mean", "", "low", 0.0, "a fifth of the sum, as in the paper's Table 1"),
    "octave_db": Metric(
        "octaves", "dB", "low", 0.0, "rms difference of the levels of ten octaves of the mid"
    ),
    "spectral_db": Metric(
        "third octaves",
        "dB",
        "low",
        0.0,
        "rms difference of the levels of 29 third octaves of mid and of side",
    ),
    "plr_error_db": Metric(
        "PLR error", "dB", "low", 0.0, "difference of the ratios of true peak to loudness"
    ),
    "width_error_db": Metric("width error", "dB", "low", 0.0, "difference of the levels of side over mid"),
    "correlation_error": Metric(
        "correlation error", "", "low", 0.0, "difference of the correlations of left and right"
    ),
    "moved_db": Metric(
        "balance moved", "dB", "low", 0.0, "how far the stems moved from the artist's balance, mean", True
    ),
    "worst_moved_db": Metric("balance moved, worst", "dB", "low", 0.0, "how far the worst stem moved", True),
    "leaned_db": Metric("leaned", "dB", "low", 0.0, "how far stereo stems leaned to a side, mean", True),
    "worst_leaned_db": Metric(
        "leaned, worst", "dB", "low", 0.0, "how far the worst stereo stem leaned", True
    ),
    "voice_change_lu": Metric(
        "voice moved", "LU", "low", 0.0, "how far the lead voice moved against the rest, up or down", True
    ),
    "true_peak_dbtp": Metric(
        "true peak", "dBTP", "none", math.nan, "true peak, as the system delivers the mix"
    ),
    "loudness_lufs": Metric("loudness", "LUFS", "none", math.nan, "loudness, as the system delivers the mix"),
    "plr_db": Metric("PLR", "dB", "record", math.nan, "true peak over loudness"),
    "width_db": Metric("width", "dB", "record", math.nan, "side over mid, -60 for mono"),
    "correlation": Metric("correlation", "", "record", math.nan, "correlation of left and right, 1 for mono"),
    "side_low_db": Metric(
        "side below 120 Hz", "dB", "none", math.nan, "side over mid below 120 Hz, -60 for mono"
    ),
}


@torch.no_grad()
def measure(
    mix: MixResult | torch.Tensor,
    task: Task,
    *,
    mix_lufs: float = MIX_LUFS,
    record_lufs: float = MIX_LUFS,
    preset: str = "default",
) -> dict[str, float]:
    """Measure one mix against its record, and against its own stems where a console tells what became of them.

    The two levels count for the audio-feature loss alone, where the paper's Table 2 takes -22 and -16 LUFS: 6 dB apart,
    a copy of the record scores about 0.048. Spectra are always compared at one loudness.

    Args:
        mix: A `MixResult`, or its sound alone, (2, num_samples) at the sample rate of the song.
        task: The song and the record.
        mix_lufs: Loudness to which the mix is brought, in LUFS. Silence stays as it is.
        record_lufs: Loudness to which the record is brought, in LUFS.
        preset: That of the audio-feature loss: "default", or "reference" for the epsilon of the paper, which alone
            makes a mono mix score above 30.

    Returns:
        A number for each of `METRICS`. NaN: what only a console tells, for sound alone; moved and leaned without a stem
        that counts; the voice without a stem that is called so; all comparisons of level, image and spectrum with a
        silent sound. The audio-feature loss is a number for silence too, and says little there.

    Raises:
        InputError: In one line, for a mix or a record that is not a finite sound (2, num_samples).

    Example:
        >>> import diffmst_lib as dm
        >>> song = dm.load_multitrack(dm.data_dir() / "multitracks" / "caesium").excerpt(8, 3)
        >>> record = song.audio.sum(dim=0)
        >>> row = measure(dm.unity(song), Task(song, record))
        >>> row["af_sum"] < 1e-6, row["octave_db"] < 0.1, row["moved_db"] < 0.1
        (True, True, True)
        >>> measure(record, Task(song, record))["moved_db"]
        nan
    """
    rate = task.song.sample_rate
    delivered = _sound(mix.audio if isinstance(mix, MixResult) else mix, "the mix")
    record = _sound(task.record, "the record")
    levels = [loudness(sound, sample_rate=rate) for sound in (delivered, record)]
    for lufs, what in zip(levels, ("the mix", "the record"), strict=True):
        if math.isnan(lufs):
            raise InputError(f"{what} holds NaN or infinite samples")
    both = (
        normalize_loudness(sound, lufs, sample_rate=rate)
        for sound, lufs in ((delivered, mix_lufs), (record, record_lufs))
    )
    features = [audio_features(sound, sample_rate=rate, preset=preset) for sound in both]
    row = {name: term.item() for name, term in feature_distance(*features).items()}
    row["af_sum"] = row.pop("total")
    row["af_mean"] = row["af_sum"] / len(AF_WEIGHTS)
    ours, theirs = (
        _sound_numbers(sound, lufs, rate) for sound, lufs in zip((delivered, record), levels, strict=True)
    )
    for name in ("octave", "spectral"):
        row[f"{name}_db"] = _rms(np.asarray(ours[name] - theirs[name]))
    for name, error in (
        ("plr_db", "plr_error_db"),
        ("width_db", "width_error_db"),
        ("correlation", "correlation_error"),
    ):
        row[name], row[error] = float(ours[name]), abs(float(ours[name] - theirs[name]))
    row |= {name: float(ours[name]) for name in ("true_peak_dbtp", "loudness_lufs", "side_low_db")}
    if isinstance(mix, MixResult):
        measures = measures_of(mix)
        row |= balance_cost(mix)
        row["voice_change_lu"] = abs(measures.lead_voice_lu - measures.delivered_voice_lu)
    return {name: row.get(name, math.nan) for name in METRICS}


def _sound(audio: torch.Tensor, what: str) -> torch.Tensor:
    if not isinstance(audio, torch.Tensor) or not audio.dtype.is_floating_point:
        got = str(audio.dtype) if isinstance(audio, torch.Tensor) else type(audio).__name__
        raise InputError(f"{what} must be a tensor of floating point, got {got}")
    if audio.ndim != 2 or audio.shape[0] != 2 or not audio.shape[1]:
        raise InputError(f"{what} must be a sound (2, num_samples), got {tuple(audio.shape)}")
    return audio.detach().cpu().float()


def _sound_numbers(audio: torch.Tensor, lufs: float, sample_rate: float) -> dict[str, float | np.ndarray]:
    """Measure one sound, as it is; spectra as at 0 LUFS. NaN for silence."""
    image, peak = stereo_powers(audio), true_peak_db(audio)
    spectrum = stereo_spectrum(audio, sample_rate=sample_rate)
    sounds = math.isfinite(lufs)
    level_db = decibels((image.left + image.right) / (2 * audio.shape[-1])) - lufs if sounds else math.nan
    return {
        "true_peak_dbtp": peak if math.isfinite(peak) else math.nan,
        "loudness_lufs": lufs if sounds else math.nan,
        "plr_db": peak - lufs if sounds else math.nan,
        "width_db": image.width_db,
        "correlation": image.correlation,
        "side_low_db": spectrum.side_below_db(),
        "octave": band_levels_db(spectrum, 1, level_db)[0],
        "spectral": band_levels_db(spectrum, 3, level_db),
    }


def band_levels_db(spectrum: StereoSpectrum, per_octave: int, level_db: float = 0.0) -> np.ndarray:
    """Compute the levels of bands of mid and side.

    Args:
        spectrum: A spectrum, as `stereo_spectrum` measures it.
        per_octave: 1 for the ten octaves from 31.5 Hz to 16 kHz, 3 for the 29 third octaves from 25 Hz to 16 kHz.
        level_db: Level of the whole sound in dB; not given: 0.

    Returns:
        Levels (2, num_bands) of mid and side in dB, -60 or more; NaN for silence, and for bands whose center is above
        half the sample rate.

    Example:
        >>> sine = torch.sin(2 * torch.pi * 1000 / 44100 * torch.arange(44100)).expand(2, -1)
        >>> mid, side = band_levels_db(stereo_spectrum(sine, sample_rate=44100), 1)
        >>> int(mid.argmax()), side.max().item()                # the octave around 1 kHz; no side
        (5, -60.0)
    """
    count = BANDS[per_octave]
    edges_hz = 1000.0 * 2.0 ** (np.arange(count + 1) / per_octave - 5.5)
    power = np.stack([spectrum.mid, spectrum.side])
    if not power.sum() > 0.0:
        return np.full((2, count), math.nan)
    # Bins at an edge are shared out, or the lowest bands, of two bins or three, would depend on where these lie.
    bin_hz = spectrum.frequency_hz[1]
    bin_edges_hz = np.append(spectrum.frequency_hz - bin_hz / 2, spectrum.frequency_hz[-1] + bin_hz / 2)
    below = np.concatenate([np.zeros((2, 1)), np.cumsum(power, axis=1)], axis=1) / power.sum()
    share = np.diff([np.interp(edges_hz, bin_edges_hz, one) for one in below], axis=1)
    levels = np.maximum(10.0 * np.log10(np.maximum(share, 1e-30)) + level_db, SILENT_DB)
    levels[:, np.sqrt(edges_hz[1:] * edges_hz[:-1]) > spectrum.frequency_hz[-1]] = math.nan
    return levels


def _rms(differences: np.ndarray) -> float:
    there = differences[np.isfinite(differences)]
    return float(np.sqrt(np.mean(there**2))) if len(there) else math.nan


def wrong_ratio(right: Mapping[str, float], wrong: Mapping[str, float], metric: str = "af_sum") -> float:
    """Compute how many times farther from a record a mix is that was made after another record.

    Args:
        right: A row of `measure`, or means of several: mixes made after the record that they are measured against.
        wrong: The same of mixes made after another record, measured against the same record.
        metric: Which metric; one of which low is better.

    Returns:
        The ratio: 1 for a system that does not listen, more for one that does; NaN where the first is 0 or NaN.

    Raises:
        InputError: For a metric that a row does not have.

    Example:
        >>> wrong_ratio({"af_sum": 0.1}, {"af_sum": 0.4})
        4.0
    """
    for row in (right, wrong):
        if metric not in row:
            raise InputError(f"a row without {metric}")
    return float(wrong[metric]) / float(right[metric]) if right[metric] else math.nan
