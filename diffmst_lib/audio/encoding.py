"""Writing sound files: the formats of a mix, their words, dither, and errors in the operating system's words.

Chapter: Mix your own song.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import torch
from tqdm import tqdm

from ..disk import undisturbed
from ..inputs import InputError
from .meters import PIECE

WAV_LIMIT = 2**32 - 2**16  # bytes of sound that fit into a WAV; RF64 is the same with longer numbers
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True)
class FileFormat:
    """A kind of sound file.

    Attributes:
        suffix: How names of its files end.
        container: What libsndfile calls the file.
        subtype: What libsndfile calls the samples.
        bits: Bits of a whole number; None for numbers with a floating point and for MP3.
        about: What a message calls it.

    Example:
        >>> FORMATS["flac"].suffix, FORMATS["flac"].bits
        ('.flac', 24)
    """

    suffix: str
    container: str
    subtype: str
    bits: int | None
    about: str

    @property
    def has_headroom(self) -> bool:
        """Whether it keeps what lies above full scale."""
        return self.subtype == "FLOAT"


FORMATS = {  # by their words in options
    "wav": FileFormat(".wav", "WAV", "FLOAT", None, "32-bit float WAV"),
    "wav24": FileFormat(".wav", "WAV", "PCM_24", 24, "24-bit WAV"),
    "wav16": FileFormat(".wav", "WAV", "PCM_16", 16, "16-bit WAV"),
    "flac": FileFormat(".flac", "FLAC", "PCM_24", 24, "24-bit FLAC"),
    "mp3": FileFormat(".mp3", "MP3", "MPEG_LAYER_III", None, "MP3"),
}


def file_format(name: str) -> FileFormat:
    """Return a format by its word.

    Args:
        name: "wav" (32-bit float), "wav24", "wav16", "flac" or "mp3".

    Returns:
        The format.

    Raises:
        InputError: For another word, and for a format that this installation of libsndfile cannot write.
    """
    if name not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, not {name!r}")
    kind = FORMATS[name]
    if not soundfile.check_format(kind.container, kind.subtype):
        raise InputError(f"format {name}: the installed libsndfile cannot write it, choose another format")
    return kind


def rate_of_file(kind: FileFormat, sample_rate: int) -> int:
    """Choose the sample rate of a file: MP3 has nine, of which one that divides the sound's rate is the best.

    Args:
        kind: The format.
        sample_rate: The sound's rate, in Hz.

    Returns:
        The rate of the file, in Hz.

    Example:
        >>> rate_of_file(FORMATS["mp3"], 96_000), rate_of_file(FORMATS["mp3"], 88_200)
        (48000, 44100)
    """
    if kind.container != "MP3" or sample_rate in MP3_RATES_HZ:
        return sample_rate
    divides = [rate for rate in MP3_RATES_HZ if sample_rate % rate == 0 and rate >= MP3_RATES_HZ[-1] / 2]
    above = [rate for rate in MP3_RATES_HZ if rate > sample_rate]
    return divides[-1] if divides else above[0] if above else MP3_RATES_HZ[-1]


def encode(
    path: Path,
    audio: torch.Tensor,
    *,
    sample_rate: int,
    kind: FileFormat,
    gain: float = 1.0,
    progress: bool = False,
) -> None:
    """Write a sound file in pieces: little memory beyond the sound's, and Ctrl-C waits for a piece at most.

    16-bit samples get triangular dither, the difference of two uniform numbers of one step each, which makes
    their error a noise that does not depend on the sound (Lipshitz, Wannamaker and Vanderkooy, J. Audio Eng.
    Soc. 40, 1992). The noise depends on the file's name, so that it is the same at every run and another in every
    stem. 24 bits are as fine as float32 itself and need none. MP3 has 320 kbit/s, or the most that its rate allows.

    Args:
        path: The file, which is there in part when this fails.
        audio: Audio (channels, num_samples), finite.
        sample_rate: Sample rate in Hz, one that the format has.
        kind: The format.
        gain: A factor for all samples. What then lies above full scale is held there in formats without
            headroom.
        progress: Whether to show a progress bar where it takes more than two seconds.

    Raises:
        OSError: In the operating system's words, when the file cannot be written.
    """
    samples = audio.detach().cpu()
    options: dict[str, Any] = {}
    if kind.container == "MP3":
        options = {"bitrate_mode": "CONSTANT", "compression_level": 0.0}
    container = kind.container
    if container == "WAV" and samples.numel() * (kind.bits or 32) // 8 > WAV_LIMIT:
        container = "RF64"
    dither = np.random.default_rng(zlib.crc32(path.name.encode("utf-8", "replace")))
    with open(path, "wb") as file:
        sink, sound = _Sink(file), None
        try:
            try:
                with undisturbed():  # an interrupt in what libsndfile calls would be printed and lost
                    sound = soundfile.SoundFile(
                        sink, "w", sample_rate, len(samples), kind.subtype, format=container, **options
                    )
                starts = range(0, samples.shape[-1], PIECE)
                for start in tqdm(starts, kind.about, delay=2.0, disable=not progress, leave=False):
                    piece = samples[:, start : start + PIECE].float().numpy().T
                    piece = piece if gain == 1.0 else piece * np.float32(gain)
                    words = piece if kind.bits is None else whole_numbers(piece, kind.bits, dither)
                    with undisturbed():
                        sound.write(words)
            finally:
                if sound is not None:
                    with undisturbed():
                        sound.close()
        except (RuntimeError, AssertionError):
            if sink.error is None:
                raise
        if sink.error is not None:
            raise sink.error


def whole_numbers(samples: np.ndarray, bits: int, noise: np.random.Generator) -> np.ndarray:
    """Round samples to whole numbers: 16 bits with triangular dither, 24 bits at the top of 32.

    Args:
        samples: Samples, full scale at 1.
        bits: 16 or 24.
        noise: Where the dither comes from.

    Returns:
        Whole numbers of the same shape, int16 or int32.

    Example:
        >>> whole_numbers(np.array([0.5, -1.0]), 24, np.random.default_rng(0)) // 256
        array([ 4194304, -8388608], dtype=int32)
    """
    steps = samples.astype(np.float64) * 2.0 ** (bits - 1)
    if bits == 16:
        steps += noise.random(steps.shape) - noise.random(steps.shape)
    steps = np.clip(np.rint(steps), -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1.0)
    return steps.astype(np.int16) if bits == 16 else steps.astype(np.int32) << (32 - bits)


class _Sink:
    """A file for libsndfile that remembers why a write failed, which libsndfile does not say."""

    def __init__(self, file: BinaryIO):
        self._file, self.tell = file, file.tell
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        return self._unless_failed(self._file.write, data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:  # writes what waits in the buffer
        return self._unless_failed(self._file.seek, offset, whence)

    def _unless_failed(self, call: Callable[..., int], *arguments: object) -> int:
        try:
            return 0 if self.error else call(*arguments)
        except OSError as error:
            self.error = error
            return 0
