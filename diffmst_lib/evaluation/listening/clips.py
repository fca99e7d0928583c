"""The sounds of a listening test: cut, faded, at one loudness, and encoded for a browser. Chapter: Results."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from ...audio.loading import read_sound
from ...audio.loudness import loudest_window, loudness
from ...audio.meters import true_peak_db
from ...audio.remarks import tell
from ...inputs import InputError, note
from .pairs import KeptPair
from .scales import FORMATS, LUFS

CEILING_DBTP = -1.0  # a decoder of a lossy file overshoots by less
FADE_S = 0.01  # at both ends, so that the loop does not click
SHORTEST_S = 1.0
PIECE = 2**16  # samples encoded at a time: libsndfile's Ogg encoders fail on very long blocks
# format: sample rate in Hz, options of soundfile
ENCODINGS = {
    "opus": (48000, {"format": "OGG", "subtype": "OPUS", "compression_level": 0.7}),  # about 165 kbit/s
    "flac": (44100, {"format": "FLAC", "subtype": "PCM_16"}),
}
assert set(ENCODINGS) == set(FORMATS)


@dataclass(frozen=True)
class Clip:
    """An excerpt of a file that is played in a loop.

    Args:
        path: The file.
        sample_rate: Rate of the clip in Hz.
        start: First sample of the excerpt.
        num_samples: Length of the excerpt.
        lufs: Its loudness as the file has it.
        peak_dbtp: Its true peak as the file has it.
        digest: A fingerprint of its samples.
    """

    path: Path
    sample_rate: int
    start: int
    num_samples: int
    lufs: float
    peak_dbtp: float
    digest: str

    def samples(self, lufs: float) -> torch.Tensor:
        """Return the clip, (2, num_samples), at a loudness in LUFS."""
        sound = stereo(read_sound(self.path, self.sample_rate)[0])
        return 10.0 ** ((lufs - self.lufs) / 20.0) * excerpt(
            sound, self.start, self.num_samples, self.sample_rate
        )


def stereo(audio: torch.Tensor) -> torch.Tensor:
    """Give a mono sound two equal channels; of more than two, the first two stay."""
    return audio.repeat(2, 1) if len(audio) == 1 else audio[:2]


def excerpt(audio: torch.Tensor, start: int, num_samples: int, sample_rate: int) -> torch.Tensor:
    """Cut an excerpt, and fade both of its ends so that a loop of it does not click.

    Args:
        audio: Audio (2, num_samples).
        start: First sample.
        num_samples: Length of the excerpt.
        sample_rate: Sample rate in Hz.

    Returns:
        Audio (2, `num_samples`).

    Example:
        >>> excerpt(torch.ones(2, 44100), 100, 2000, 44100)[0, [0, 1000, -1]].round(decimals=3).tolist()
        [0.0, 1.0, 0.0]
    """
    cut = audio[:, start : start + num_samples].clone()
    length = min(round(FADE_S * sample_rate), num_samples // 2)
    ramp = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(length) + 0.5) / max(length, 1))
    cut[:, :length] *= ramp
    cut[:, cut.shape[1] - length :] *= ramp.flip(0)
    return cut


def pair_clips(pair: KeptPair, seconds: float, sample_rate: int) -> tuple[Clip, dict[str, Clip]] | None:
    """Choose the same excerpt of all mixes of a pair, where they are loudest, and the loudest of the record.

    Args:
        pair: The pair.
        seconds: Length of the excerpts, at most.
        sample_rate: Rate of the clips in Hz.

    Returns:
        The record's clip and those of the mixes by system. None where there is nothing to compare, which is
        told, as is every sound that is left out.
    """
    mixes = {
        name: sound for name, path in pair.mixes.items() if (sound := _load(path, sample_rate)) is not None
    }
    record = _load(pair.record_file, sample_rate)
    if record is None or len(mixes) < 2:
        note(f"pair {pair.number} is left out: it has no record or less than two mixes that sound")
        return None
    shortest = min(sound.shape[1] for sound in mixes.values())
    length = min(round(seconds * sample_rate), shortest)
    start = loudest_window(
        torch.cat([sound[:, :shortest] / sound.square().mean().sqrt() for sound in mixes.values()]),
        length / sample_rate,
        sample_rate=sample_rate,
    )
    of_record = min(length, record.shape[1])
    begin = loudest_window(record, of_record / sample_rate, sample_rate=sample_rate)
    clips = {
        name: _clip(pair.mixes[name], sound, start, length, sample_rate) for name, sound in mixes.items()
    }
    silent = [name for name, clip in clips.items() if not math.isfinite(clip.lufs)]
    if silent:
        note(f"pair {pair.number}: {', '.join(silent)} cannot be rated, the mix is silent there")
    sounding = {name: clip for name, clip in clips.items() if name not in silent}
    record_clip = _clip(pair.record_file, record, begin, of_record, sample_rate)
    if len(sounding) < 2 or not math.isfinite(record_clip.lufs):
        note(f"pair {pair.number} is left out: it has no record or less than two mixes that sound")
        return None
    return record_clip, sounding


def _load(path: Path, sample_rate: int) -> torch.Tensor | None:
    remarks: dict[str, str] = {}
    try:
        sound = stereo(read_sound(path, sample_rate, remarks)[0])
    except InputError as error:
        note(f"left out: {error}")
        return None
    tell({str(path): remarks})
    if sound.shape[1] < SHORTEST_S * sample_rate:
        note(f"left out: {path}: shorter than {SHORTEST_S:g} s")
        return None
    if not sound.any():
        note(f"left out: {path}: silent")
        return None
    return sound


def _clip(path: Path, sound: torch.Tensor, start: int, num_samples: int, sample_rate: int) -> Clip:
    cut = excerpt(sound, start, num_samples, sample_rate)
    return Clip(
        path,
        sample_rate,
        start,
        num_samples,
        loudness(cut, sample_rate=sample_rate),
        true_peak_db(cut),
        hashlib.sha256(cut.numpy().tobytes()).hexdigest(),
    )


def common_lufs(clips: Sequence[Clip]) -> float:
    """Find one loudness for all clips at which no true peak is above -1 dBTP.

    Args:
        clips: The clips of all pages.

    Returns:
        -23 LUFS, or less where a clip would be too high.
    """
    room = min(CEILING_DBTP - (clip.peak_dbtp - clip.lufs) for clip in clips)
    return min(LUFS, room)


def encode(samples: torch.Tensor, format: str) -> bytes:
    """Encode a clip as a file that browsers decode.

    Args:
        samples: Audio (2, num_samples) at the format's sample rate.
        format: "opus" or "flac".

    Returns:
        The file.
    """
    rate, options = ENCODINGS[format]
    data = np.ascontiguousarray(samples.numpy().T)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", samplerate=rate, channels=data.shape[1], **options) as sound:
        for first in range(0, len(data), PIECE):
            sound.write(data[first : first + PIECE])
    return file.getvalue()
