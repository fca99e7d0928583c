"""Encoding of audio into files that every browser can play.

Chapter: A first mix.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import soundfile as sf
import torch

from ...audio.resampling import resample

# format: (MIME type, sample format inside the file)
FORMATS = {
    "mp3": ("audio/mpeg", "MPEG_LAYER_III"),
    "flac": ("audio/flac", "PCM_16"),
    "wav": ("audio/wav", "PCM_16"),
}
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
# libsndfile's scale from 0 (best) to 1 (smallest), with a variable bit rate
MIX_COMPRESSION = 0.4  # 10 s of stereo: 0.15 to 0.27 MB in base64
# Sounds with a peak above full scale are scaled to this peak, since a decoded MP3 overshoots its source.
CEILING = 10 ** (-0.5 / 20)


def as_samples(audio: torch.Tensor | np.ndarray, name: str = "audio") -> np.ndarray:
    """Check audio and transpose it for files.

    Args:
        audio: Audio (channels, num_samples) with 1 or 2 channels, or (num_samples,), floating point.
        name: Name of the audio in error messages.

    Returns:
        Samples (num_samples, channels), float32.

    Raises:
        ValueError: For other shapes, audio without samples, integers, and values that are not finite.
    """
    if isinstance(audio, torch.Tensor):
        audio = audio.detach().cpu().numpy()
    audio = np.asarray(audio)
    if audio.ndim == 1:
        audio = audio[None, :]
    if audio.ndim != 2 or audio.shape[0] not in (1, 2):
        raise ValueError(
            f"{name}: expected (channels, num_samples) with 1 or 2 channels, got shape {audio.shape}"
        )
    if audio.shape[1] == 0:
        raise ValueError(f"{name}: no samples")
    if not np.issubdtype(audio.dtype, np.floating):
        raise ValueError(f"{name}: expected floating point samples in [-1, 1], got {audio.dtype}")
    if not np.isfinite(audio).all():
        raise ValueError(f"{name}: holds values that are not finite (NaN or infinity)")
    return np.ascontiguousarray(audio.T, dtype=np.float32)


def excerpt_span(
    num_samples: int, sample_rate: float, start_s: float, seconds: float, name: str = "audio"
) -> slice:
    """Return the slice of `seconds` from `start_s` on, cut at the end; raise ValueError past the end."""
    if seconds <= 0 or start_s < 0:
        raise ValueError(f"expected seconds > 0 and start_s >= 0, got {seconds} and {start_s}")
    start = round(start_s * sample_rate)
    if start >= num_samples:
        raise ValueError(f"{name}: start_s={start_s} is past the end at {num_samples / sample_rate:.2f} s")
    return slice(start, min(num_samples, start + max(1, round(seconds * sample_rate))))


def headroom_gain(peak: float) -> float:
    """Return the factor that prevents a peak above full scale from clipping; 1 for any other peak."""
    return CEILING / peak if peak > 1 else 1.0


def mp3_rate(sample_rate: int) -> int:
    """Return the sample rate of an MP3 for audio at this rate, in Hz: the same rate where MP3 allows it."""
    if sample_rate > MP3_RATES[-1]:
        return next((rate for rate in (48000, 44100) if sample_rate % rate == 0), 48000)
    return next(rate for rate in MP3_RATES if rate >= sample_rate)  # the next higher rate


def encode_samples(
    samples: np.ndarray, sample_rate: int, format: str = "mp3", compression: float = MIX_COMPRESSION
) -> bytes:
    """Write samples as an audio file in memory.

    MP3 allows nine sample rates. Samples at any other rate are resampled (see `mp3_rate`).

    Args:
        samples: Audio (num_samples, channels) within [-1, 1].
        sample_rate: Sample rate in Hz, 1000 to 768000.
        format: "mp3", "flac" or "wav".
        compression: Compression of an MP3, from 0 (best) to 1 (smallest).

    Returns:
        Bytes of the file.

    Raises:
        ValueError: For an unknown format, a sample rate out of range, and when soundfile cannot write MP3.
    """
    if format not in FORMATS:
        raise ValueError(f"format {format!r} is not one of {', '.join(FORMATS)}")
    if not 1000 <= sample_rate <= 768_000:
        raise ValueError(f"expected a sample rate of 1000 to 768000 Hz, got {sample_rate}")
    if format == "mp3" and (rate := mp3_rate(sample_rate)) != sample_rate:
        samples = resample(samples.T, sample_rate, rate).T
        sample_rate = rate
    options: dict[str, Any] = (
        {"compression_level": compression, "bitrate_mode": "VARIABLE"} if format == "mp3" else {}
    )
    file = io.BytesIO()
    try:
        sf.write(file, samples, sample_rate, format=format.upper(), subtype=FORMATS[format][1], **options)
    except sf.LibsndfileError as error:
        raise ValueError(
            f"cannot write {format} at {sample_rate} Hz with this soundfile; MP3 needs libsndfile 1.1"
        ) from error
    return file.getvalue()


def encode_audio(
    audio: torch.Tensor | np.ndarray, sample_rate: int, *, format: str = "mp3"
) -> tuple[bytes, str]:
    """Encode audio as a small file and return its bytes and MIME type.

    MP3 is the default because every browser plays it, also Safari. It allows nine rates up to 48 kHz. Audio
    at any other rate, such as 96 kHz, is resampled. Nothing is hard-clipped: a sound whose peak exceeds 1 is
    scaled down to a peak of -0.5 dBFS.

    Args:
        audio: Audio (channels, num_samples) with 1 or 2 channels, or (num_samples,), in [-1, 1].
        sample_rate: Sample rate in Hz.
        format: "mp3" (10 s of stereo at 44.1 kHz: 0.1 to 0.2 MB), "flac" or "wav" (both 16 bits).

    Returns:
        Bytes and their MIME type, such as (b"...", "audio/mpeg").

    Raises:
        ValueError: For samples that are not finite, other shapes, an unknown format, and a sample rate out of
            range.

    Example:
        >>> import torch
        >>> data, mime = encode_audio(0.1 * torch.randn(2, 44100), 44100)
        >>> mime
        'audio/mpeg'
    """
    samples = as_samples(audio)
    samples = samples * headroom_gain(np.abs(samples).max())
    return encode_samples(samples, sample_rate, format), FORMATS[format][0]
